"""A run's dependencies: built anew by each execution, on whichever machine."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Any, cast

from holdfast.app import RunScope, Task


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


def _is_plain_value(value: Any) -> bool:
    # An instance that happens to be callable is a value; functions, methods, partials and classes are factories.
    return not (inspect.isroutine(value) or inspect.isclass(value) or hasattr(value, "func"))
