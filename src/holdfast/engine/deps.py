"""A run's dependencies: built anew by each execution, on whichever machine, and what they may reach of the database."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import TYPE_CHECKING, Any, cast

from holdfast.task import RunScope, Task

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder
    from holdfast.store.connection import Connection


@asynccontextmanager
async def dependencies(task: Task, scope: RunScope) -> AsyncGenerator[Any]:
    """The dependencies of one execution, closed when it leaves.

    A factory may be a function, an async function, or return a context manager of either kind.
    """
    async with AsyncExitStack() as stack:
        made = task.deps
        if callable(made) and not _is_plain_value(made):
            made = made(scope)
            if inspect.isawaitable(made):
                made = await made
            if isinstance(made, AbstractAsyncContextManager):
                made = await stack.enter_async_context(cast("AbstractAsyncContextManager[Any]", made))
            elif isinstance(made, AbstractContextManager):
                made = stack.enter_context(cast("AbstractContextManager[Any]", made))
        yield made


@asynccontextmanager
async def own_rows(recorder: Recorder) -> AsyncGenerator[Connection]:
    """A transaction of a tool's, in the tenant of its run. One whose run was lost begins none, and commits none.

    Raises:
        Interrupt: the run is not held here any more.
        OperatorError: the database is away, or the worker's login too weak.
    """
    recorder.look("", "")
    async with recorder.gear.db.tool(recorder.claimed.tenant) as connection:
        yield connection
        recorder.look("", "")


def _is_plain_value(value: Any) -> bool:
    # An instance that happens to be callable is a value; functions, methods, partials and classes are factories.
    return not (inspect.isroutine(value) or inspect.isclass(value) or hasattr(value, "func"))
