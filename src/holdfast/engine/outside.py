"""The tool call around the running code: what inner runs are numbered by, and count their usage to."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RunUsage

from holdfast.engine.call import ToolCall
from holdfast.engine.usage import as_usage, use_again

if TYPE_CHECKING:
    from holdfast.domain import events as ev


@dataclass(slots=True)
class Outside:
    """The tool call that an inner run happens in."""

    call: ToolCall
    context: RunContext[Any]
    runs: dict[tuple[str, str | None], int] = field(default_factory=dict[tuple[str, str | None], int])
    """Numbers of inner runs, by agent and run id: the same on every machine."""
    contexts: dict[str | None, RunContext[Any]] = field(default_factory=dict[str | None, RunContext[Any]])
    """The context of each inner run's step under way: a toolset is told it before each request, a model is not."""
    inner: RunUsage | None = None
    """What inner runs used that share the outer's usage."""
    token: Token[Outside | None] | None = None

    @property
    def usage(self) -> RunUsage:
        """What the run of the call has used; inner runs may share it."""
        return self.context.usage

    def scope_of(self, agent: str, run_id: str | None, like: Callable[[str], bool] = lambda _: False) -> str:
        """The scope of an inner run: for a new one the first that is `like` it, else the first that is free."""
        number = self.runs.get((agent, run_id))
        if number is None:
            taken = {number for (name, _), number in self.runs.items() if name == agent}
            free = [number for number in range(1, len(taken) + _AT_ONCE) if number not in taken]
            number = next((number for number in free if like(self._scope(agent, number))), free[0])
            self.runs[agent, run_id] = number
        return self._scope(agent, number)

    def _scope(self, agent: str, number: int) -> str:
        return f"{self.call.inner}{agent}#{number}/"

    def count(self, usage: ev.Usage) -> None:
        """Add what an inner request or call used, where the inner run shares the outer's usage."""
        self.inner = self.inner or RunUsage()
        use_again(self.inner, usage)

    @property
    def used(self) -> ev.Usage | None:
        """What the inner runs used, None where nothing."""
        return None if self.inner is None else as_usage(self.inner)


_AT_ONCE = 100
"""How many inner runs of an agent are looked through for the one that is entered again."""

surrounding: ContextVar[Outside | None] = ContextVar("holdfast_outside", default=None)
