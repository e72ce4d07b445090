"""What you need to test your agents: a scripted model server over real HTTP, a clock, crash points, checks.

Importing this package is cheap; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.clock import FakeClock
    from holdfast.testing.crash import POINTS, Crash, CrashPlan, crash_point
    from holdfast.testing.dependencies import DependenciesChanged, WatchDependencies
    from holdfast.testing.effects import effect_scope
    from holdfast.testing.model_server import (
        Fault,
        ModelServer,
        OfferedTool,
        Output,
        RawUsage,
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
    "POINTS",
    "Crash",
    "CrashPlan",
    "DependenciesChanged",
    "FakeClock",
    "Fault",
    "ModelServer",
    "OfferedTool",
    "Output",
    "RawUsage",
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
    "WatchDependencies",
    "call",
    "calls",
    "crash_point",
    "effect_scope",
    "fault",
    "load_routes",
    "output",
    "parse_routes",
    "say",
]

# Where each name lives.
_MODULES = dict.fromkeys(__all__, "holdfast.testing.model_server") | {
    "POINTS": "holdfast.testing.crash",
    "Crash": "holdfast.testing.crash",
    "CrashPlan": "holdfast.testing.crash",
    "DependenciesChanged": "holdfast.testing.dependencies",
    "FakeClock": "holdfast.testing.clock",
    "WatchDependencies": "holdfast.testing.dependencies",
    "crash_point": "holdfast.testing.crash",
    "effect_scope": "holdfast.testing.effects",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
