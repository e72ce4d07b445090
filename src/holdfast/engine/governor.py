"""What decides about calls in a process: the policy in force, and where and when it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from holdfast.domain.verdict import Facts, Verdict


class Policy(Protocol):
    """A policy that was loaded and found right."""

    @property
    def digest(self) -> str:
        """Which one it is."""
        ...

    @property
    def uses_labels(self) -> bool:
        """Whether it looks at where arguments came from."""
        ...

    def verdict(self, tool: str, args: Mapping[str, Any], facts: Facts) -> Verdict:
        """What it says of a call whose arguments have these JSON shapes. Never raises."""
        ...


@dataclass(slots=True)
class Governor:
    """What decides about calls in this process."""

    policy: Policy | None = None
    """The one in force. Replaced as a whole when its file changes; every decision asks for it anew."""
    env: str = "dev"
    zone: tzinfo = UTC
    """Where hours and weekdays are counted."""
