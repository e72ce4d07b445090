"""The last look before a tool's body is entered: is the run still held here?

In the event loop nothing comes between the look and an async body. A plain function runs in a thread, which may be
busy, or stopped, or stand in the queue of a thread pool, while the lease runs out: for it the look is taken in the
thread, as the first thing there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pydantic_ai.toolsets import ToolsetTool

Look = Callable[[], None]


def looked_at(tool: ToolsetTool[Any], look: Look) -> ToolsetTool[Any]:
    """`tool`, with `look` as the first thing in the thread where its body is a plain function; else as it is."""
    unknown = cast("Any", tool)
    if (source := getattr(unknown, "source_tool", None)) is not None:
        inner = looked_at(source, look)
        return tool if inner is source else replace(unknown, source_tool=inner)
    call = getattr(unknown, "call_func", None)
    looking = looking_at(getattr(call, "__self__", None), look)
    return tool if looking is None else replace(unknown, call_func=looking)


def looking_at(schema: Any, look: Look) -> Callable[..., Any] | None:
    """What calls the plain function of a function's schema with `look` first in its thread; None: it is not one."""
    if getattr(schema, "is_async", True) or not is_dataclass(schema) or isinstance(schema, type):
        return None
    first = partial(_first_look, look, cast("Any", schema).function)
    return cast("Any", replace(schema, function=first)).call


def _first_look(look: Look, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    look()
    return function(*args, **kwargs)
