"""A model provider for tests: OpenAI-compatible, over real HTTP, answering from a script.

Read `script.py` for what a script is, `provider.py` for the way of a request, `delivery.py` for how answers
go wrong. `docs/testing.md` is for users.
"""

from __future__ import annotations

from holdfast.testing.model_server.conversation import OfferedTool, ScriptRequest, ToolResult
from holdfast.testing.model_server.errors import ScriptError, ScriptFileError
from holdfast.testing.model_server.request_log import RequestRecord
from holdfast.testing.model_server.script import Route, Script
from holdfast.testing.model_server.script_file import load_routes, parse_routes
from holdfast.testing.model_server.server import ModelServer
from holdfast.testing.model_server.turn import Fault, Output, RawUsage, ToolCall, Turn, Usage
from holdfast.testing.model_server.vocabulary import call, calls, fault, output, say

__all__ = [
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
    "call",
    "calls",
    "fault",
    "load_routes",
    "output",
    "parse_routes",
    "say",
]
