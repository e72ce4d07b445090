"""What you need to test your agents: a scripted model server over real HTTP.

Importing this package is cheap; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.model_server import (
        Fault,
        ModelServer,
        OfferedTool,
        Output,
        RequestRecord,
        Route,
        Script,
        ScriptError,
        ScriptFileError,
        ScriptRequest,
        ToolCall,
        ToolResult,
        Turn,
        Usage,
        call,
        calls,
        fault,
        load_routes,
        output,
        parse_routes,
        say,
    )

__all__ = [
    "Fault",
    "ModelServer",
    "OfferedTool",
    "Output",
    "RequestRecord",
    "Route",
    "Script",
    "ScriptError",
    "ScriptFileError",
    "ScriptRequest",
    "ToolCall",
    "ToolResult",
    "Turn",
    "Usage",
    "call",
    "calls",
    "fault",
    "load_routes",
    "output",
    "parse_routes",
    "say",
]

# Where each name lives. Names of further modules (crash points, a fake clock) go here with theirs.
_MODULES = dict.fromkeys(__all__, "holdfast.testing.model_server")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
