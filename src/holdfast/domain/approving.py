"""How a task's questions to people end when nobody answers: time limits, consequences, and who is asked next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from holdfast.domain.verdict import Ask

OnExpiry = Literal["reject", "fail_run"]
"""What an unanswered question comes to: the model is told no, or the run fails."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom a question goes to when it has not been answered for a while."""

    after_s: float
    """Seconds from when it was asked."""
    ask: Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Approving:
    """What a task says about its questions to people."""

    expires_s: float | None = None
    """Seconds after which a question is no longer open; None: it waits for good."""
    on_expiry: OnExpiry = "reject"
    escalate: Sequence[Escalation] = ()
    """In the order of their times."""
