"""How a task's questions to people end when nobody answers: time limits, consequences, and who is asked next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from holdfast.domain.ids import Ref
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


class Edit(NamedTuple):
    """Arguments as somebody changed them before the call was decided on."""

    args: Ref
    """Their keyed digest."""
    by: str


def edited_digest(digest: str, edits: Iterable[Edit]) -> str:
    """What a decision is bound to after these edits of what `digest` was bound to.

    For each edit, SHA-256 over four lines: `holdfast.approval.edit.1`, the digest before, the arguments' digest in hex,
    who edited. SQL works out the same (`edited_digest` in `18_approvals.sql`). A decision brings the edits along, so
    that whoever acts on it can check that they lead from what was asked to what was agreed to.
    """
    for edit in edits:
        lines = ("holdfast.approval.edit.1", digest, edit.args, edit.by)
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return digest
