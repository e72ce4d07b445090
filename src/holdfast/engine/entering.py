"""The last look before a tool's body is entered: is the run still held here?

In the event loop nothing comes between the look and an async body. A plain function runs in a thread, which may be
busy, or stopped, or stand in the queue of a thread pool, while the lease runs out: for it the look is taken in the
thread, as the first thing there.

A `once` call that is announced and then not entered, because of the look, is known here never to have begun. That is
worth telling to whoever holds the run now, who would ask people. It must never be told of a call that may have been
entered: a call is taken off the list before the look, and a run is lost before the list is read, so that no look lets
pass what is found on it then. Calls that user code comes upon between intent and look are not put on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic_ai.toolsets import FunctionToolset

from holdfast.domain.recovery import Recovery
from holdfast.engine.interrupt import Halted, Lost

if TYPE_CHECKING:
    from pydantic_ai.toolsets import AbstractToolset, ToolsetTool

    from holdfast.engine.call import ToolCall

Look = Callable[[], None]
"""Raises where nothing may be entered."""
LookAt = Callable[[str, str], None]
"""The same, told what is about to be entered: `tool` and its name."""


class Entering:
    """The way of one run's calls from the commit of their intent into their body."""

    def __init__(self, look: LookAt) -> None:
        self._look = look
        self._announced: dict[str, ToolCall] = {}

    @property
    def not_begun(self) -> list[ToolCall]:
        """Calls that are in doubt for everybody else, and were not entered. To be read when the run is lost."""
        return list(self._announced.values())

    def announce(self, call: ToolCall) -> None:
        """The intent of `call` is about to be committed."""
        if call.declaration.recovery is Recovery.ONCE:
            self._announced[call.key] = call
            call.attempt.unbegun = True

    def enter(self, call: ToolCall, toolset: AbstractToolset[Any] | None = None, tool: Any = None) -> None:
        """Look, in the event loop, before what lies in front of the body of `call` is entered: `toolset`, for a tool.

        Raises:
            Lost: the run is not held here any more.
            Halted: a halt covers the call.
        """
        known = self._announced.pop(call.key, None)
        try:
            self._look("tool", call.tool)
        except (Lost, Halted):
            # Entered before, as by a wrapper that tries again, it is not on the list any more.
            if known is not None:
                self._announced[call.key] = known
            raise
        call.attempt.entered = time.monotonic()
        if call.attempt.unbegun and not _leads_straight(toolset, tool):
            call.attempt.unbegun = False

    def enter_in_thread(self, call: ToolCall) -> None:
        """Look, in the thread where the body of `call` comes next.

        Raises:
            Lost: the run is not held here any more.
            Halted: a halt covers the call.
        """
        try:
            self._look("tool", call.tool)
        except (Lost, Halted):
            if call.attempt.unbegun:
                self._announced[call.key] = call
            raise
        call.attempt.entered, call.attempt.in_thread = time.monotonic(), True
        call.attempt.unbegun = False


def _leads_straight(toolset: AbstractToolset[Any] | None, tool: Any) -> bool:
    """Whether nothing of the user's lies between a toolset and the function of `tool`: a wrapper may act by itself."""
    while (source := getattr(tool, "source_toolset", None)) is not None:
        toolset, tool = source, tool.source_tool
    return isinstance(toolset, FunctionToolset) and type(toolset).__module__.startswith("pydantic_ai.")


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
