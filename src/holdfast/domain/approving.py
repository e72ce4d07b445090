"""How a task's questions to people end when nobody answers: time limits, consequences, and who is asked next."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from holdfast.domain.errors import UserError
from holdfast.domain.ids import Ref
from holdfast.domain.verdict import Ask

TaskKind = Literal["approval", "question", "in_doubt", "escalation"]
"""What people are asked: whether a tool may be called, what a tool that was called wants to know, what became of an
effect, what becomes of a run in trouble."""
TaskState = Literal[
    "pending",
    "approved",
    "rejected",
    "answered",
    "declined",
    "expired",
    "done",
    "not_done",
    "go_on",
    "finish",
    "fail_run",
    "void",
]
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


Occasion = Literal["failure", "limit", "loop", "doubt"]
"""What a run goes to people for: it would fail, it would exceed a limit, it is in a loop, an effect is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationPath:
    """To whom a task's runs go when they cannot go on by themselves. Nobody is asked who holds no such role.

    Raises:
        UserError: what is given is none of what there is.
    """

    to: Ask | str = "admin"
    """`approver`, `admin`, `two admins`, …; `user`: the person behind the run."""
    on: Collection[Occasion] = ("failure", "limit", "loop", "doubt")
    expires_s: float | None = None
    """Seconds after which the run fails, should nobody have answered; None: it waits for good."""
    then: Sequence[Escalation] = ()
    """Whom it goes to when it has not been answered for a while, in the order of their times."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.on) - set(get_args(Occasion))):
            raise UserError(f"EscalationPath: on is of {', '.join(get_args(Occasion))}, not {', '.join(unknown)}.")
        try:
            self.ask  # noqa: B018 - read, so that what is wrong is told at once
        except ValueError as error:
            raise UserError(f"EscalationPath: {error}") from error

    @property
    def ask(self) -> Ask:
        """Who is asked."""
        return self.to if isinstance(self.to, Ask) else Ask.parse(self.to)


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
