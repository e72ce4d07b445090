"""Which of the requests that a run's counters hold are its sub-agents' own, whose models are asked by the journal.

The framework counts a request when it puts the answer into the inner run's history: some time after it is journaled;
never, where a hook has it asked again or nothing of a stream had come; and where a hook answers without any model, too.
So it is the histories that are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic_ai.messages import ModelMessage, ModelResponse

if TYPE_CHECKING:
    from pydantic_ai.usage import RunUsage


@dataclass(slots=True)
class _Step:
    """The latest step of an inner run."""

    history: Sequence[ModelMessage]
    before: ModelResponse | None
    """The last answer in its history when it began."""

    @property
    def is_counted(self) -> bool:
        latest = _latest(self.history)
        # Of a stream that broke before anything came there is an answer that was not counted.
        return (
            latest is not None and latest is not self.before and (bool(latest.parts) or latest.state != "interrupted")
        )


@dataclass(slots=True)
class InnerRequests:
    """Those of one run's counters, which inner runs may share."""

    usage: RunUsage
    _counted: int = 0
    _steps: dict[str | None, _Step] = field(default_factory=dict[str | None, _Step])

    def prepares(self, run: str | None, history: Sequence[ModelMessage]) -> None:
        """An inner run begins a step: what came of the one before is decided."""
        self._leave(run)
        self.asks(run, history)

    def asks(self, run: str | None, history: Sequence[ModelMessage]) -> None:
        """It is about to make the step's request, once hooks have seen its history, or makes it again."""
        self._steps[run] = _Step(history, _latest(history))

    def add(self, requests: int) -> None:
        """So many were counted again with the recorded outcome of a call."""
        self._counted += requests

    @property
    def counted(self) -> int:
        """How many have been counted."""
        for run in [run for run, step in self._steps.items() if step.is_counted]:
            self._leave(run)
        return self._counted

    @property
    def others(self) -> int:
        """How many of the counted requests are none of these: the run's own, and what is asked past the journal."""
        return self.usage.requests - self.counted

    def _leave(self, run: str | None) -> None:
        step = self._steps.pop(run, None)
        self._counted += step is not None and step.is_counted


class Inner:
    """Requests of a run's sub-agents, by the counters that hold them: those of the run, or of an inner one alone."""

    def __init__(self) -> None:
        self._all: list[InnerRequests] = []

    def of(self, usage: RunUsage) -> InnerRequests:
        """Those that are counted in `usage`."""
        found = next((one for one in self._all if one.usage is usage), None)
        if found is None:
            found = InnerRequests(usage)
            self._all.append(found)
        return found

    def leave(self, usages: Sequence[RunUsage] | None = None) -> None:
        """Let go of counters of inner runs whose call has ended; without any, of all."""
        self._all = [one for one in self._all if usages is not None and all(one.usage is not usage for usage in usages)]


def _latest(history: Sequence[ModelMessage]) -> ModelResponse | None:
    return next((message for message in reversed(history) if isinstance(message, ModelResponse)), None)
