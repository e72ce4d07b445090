"""The tool call around the running code: what inner runs are numbered by, and count their usage to."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_ai.tools import RunContext

from holdfast.domain import events as ev
from holdfast.engine.call import ToolCall

if TYPE_CHECKING:
    from pydantic_ai.usage import RunUsage


@dataclass(slots=True)
class Outside:
    """The tool call that an inner run happens in."""

    call: ToolCall
    context: RunContext[Any]
    runs: dict[tuple[str, str | None], int] = field(default_factory=dict[tuple[str, str | None], int])
    """Numbers of inner runs, by agent and run id: the same on every machine."""
    contexts: dict[str | None, RunContext[Any]] = field(default_factory=dict[str | None, RunContext[Any]])
    """The context of each inner run's step under way: a toolset is told it before each request, a model is not."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0
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
        """Add what an inner request used, where the inner run shares the outer's usage."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.requests += usage.requests
        self.tool_calls += usage.tool_calls

    @property
    def used(self) -> ev.Usage | None:
        """What the inner runs used, None where nothing."""
        if not (self.requests or self.tool_calls):
            return None
        return ev.Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
            requests=self.requests,
            tool_calls=self.tool_calls,
        )


_AT_ONCE = 100
"""How many inner runs of an agent are looked through for the one that is entered again."""

surrounding: ContextVar[Outside | None] = ContextVar("holdfast_outside", default=None)
