"""What decides about calls in a process: the policy in force, and where and when it is applied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.guards.tally import Tally

if TYPE_CHECKING:
    from holdfast.domain.verdict import Facts, Verdict


class Policy(Protocol):
    """A policy that was loaded and found right."""

    @property
    def digest(self) -> str:
        """Which one it is."""
        ...

    def uses_labels(self, tool: str) -> bool:
        """Whether a verdict on this tool looks at where its arguments came from."""
        ...

    def uses_budget(self, tool: str) -> bool:
        """Whether a verdict on this tool looks at how much is left of what its run may spend."""
        ...

    def tallies(self, tool: str) -> Collection[str]:
        """The sums that a verdict on this tool looks at, and those that its calls add to."""
        ...

    def added(self, tool: str, args: Mapping[str, Any]) -> Mapping[str, int]:
        """What a call that it allows adds to sums, in ten-thousandths."""
        ...

    def verdict(self, tool: str, args: Mapping[str, Any], facts: Facts) -> Verdict:
        """What it says of a call whose arguments have these JSON shapes. Never raises."""
        ...


@dataclass(slots=True)
class Governor:
    """What decides about calls in this process."""

    policy: Policy | None = None
    """The one in force. Replaced as a whole when its file changes; every decision asks for it anew."""
    tallies: Mapping[str, Tally] = field(default_factory=dict[str, Tally])
    """How amounts add up, by name; those of others by principal and day."""
    env: str = "dev"
    zone: tzinfo = UTC
    """Where hours and weekdays are counted."""
