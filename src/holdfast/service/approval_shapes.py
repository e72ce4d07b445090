"""Human tasks as people get them. These are the shapes of the HTTP interface and of `--json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pydantic import Field

from holdfast.domain.approving import TaskKind, TaskState
from holdfast.service.base_views import ContentView, View
from holdfast.service.visible import visible_json


class ChangeView(View):
    """One place in which arguments differ."""

    place: str
    """Where, as in `order.lines.0.amount`; empty for the whole."""
    before: Any = None
    """Null where there was nothing; `added` tells that apart from null."""
    after: Any = None
    added: bool = False
    removed: bool = False


class EscalationView(View):
    """Whom a task asks next, if nobody has answered by then."""

    at: datetime
    ask: str


class ApprovalView(View):
    """What people have to decide: whether a tool may be called, what it asks, what became of an effect or of a run."""

    id: UUID
    run: UUID
    task: str
    """What the run is of."""
    kind: TaskKind
    state: TaskState
    scope: str
    step: int
    call: str
    tool: str
    """Of an escalation, the limit that was reached; empty where none was."""
    key: str | None = None
    """The idempotency key of the effect."""
    args: ContentView
    """Exactly the arguments that the decision is about: as last edited, where they were. Of an escalation, what
    happened, and what the run has done so far."""
    original: ContentView | None = None
    """The arguments as the model gave them, where they were edited since."""
    edits: list[ChangeView] = Field(default_factory=list[ChangeView])
    """In what the arguments differ from the original."""
    received: ContentView | None = None
    """The arguments as the tool would receive them, where code of the agent's changes them on the way."""
    on_the_way: list[ChangeView] = Field(default_factory=list[ChangeView])
    """In what those differ from the ones that the model gave."""
    digest: str
    """Send it with the decision: it says what was shown."""
    why: str | None = None
    ask: str = ""
    """Who has to agree: `user`, the person behind the run; `two admins`, others by role; empty: whoever may decide."""
    round: int = 1
    """How often this call has been asked about."""
    principal: str
    """Whom the run is for."""
    requested_by: str | None = None
    """Who asked for the run on their behalf, if another."""
    requesters: list[str] = Field(default_factory=list[str])
    """Who is behind the call, editors of its arguments among them: none of them authorises it."""
    agreed: list[str] = Field(default_factory=list[str])
    """Whose votes count so far; of a settled task, those whose votes settled it."""
    needed: int = 1
    """How many have to agree."""
    voted: bool = False
    """Whether you have agreed to what is asked now."""
    refused: str | None = None
    """Why you may not decide it, as a word: `requester`, `role`, `not_behind`, `beholden`, …; null where you may."""
    if_rejected: str
    """What follows where somebody rejects it, gives no answer, or says that it did not happen."""
    if_unanswered: str
    """What follows where nobody answers."""
    asked_at: datetime
    expires_at: datetime | None = None
    """When it is no longer open; null: it waits for good."""
    escalates: list[EscalationView] = Field(default_factory=list[EscalationView])
    """Whom it asks next, and when."""
    decided_at: datetime | None = None
    decided_by: str | None = None


def is_tenants_alone(reached: Mapping[str, Any]) -> bool:
    """Whether the tenant's limit alone stood in the way, by what an escalation shows of the limit that was reached."""
    return reached.get("tenants") is not None and reached.get("own") is None


def to_raise(task: ApprovalView) -> str:
    """The limit that whoever lets a run go on has to raise; empty where there is none that they could."""
    if not isinstance(shown := task.args.value, Mapping):
        return task.tool
    reached: Mapping[str, Any] = cast("Mapping[str, Any]", shown).get("limit") or {}
    return "" if is_tenants_alone(reached) else task.tool


class HappeningView(View):
    """One line of a task's history."""

    at: datetime
    what: str
    """`voted`, `edited`, `escalated`, or the state it ended in."""
    by: str
    ask: str
    """Who has to agree from then on."""
    digest: str
    """What a decision is bound to from then on."""
    content: ContentView | None = None
    """The arguments as edited, the reason of a rejection, the result or answer somebody gave."""


class VoteView(View):
    """What somebody agreed to."""

    voter: str
    verdict: str
    at: datetime
    counts: bool
    """Whether it counts now: not where the arguments were edited since, or its voter lost the role."""
    via: str | None = None
    """Who made the link by which they decided, if another."""


class ApprovalDetail(ApprovalView):
    """The same with all that is known about why it is asked and what has happened to it."""

    policy: str = ""
    """Digest of the policy that asks; empty where the tool itself does."""
    rules: list[str] = Field(default_factory=list[str])
    """The statements of it that ask."""
    reason: ContentView | None = None
    """The reason that these give."""
    seen: dict[str, int | str] = Field(default_factory=dict[str, int | str])
    """What the policy looked at beside the arguments: the hour, how far the run is, and the like."""
    facts: ContentView | None = None
    """What it looked at of sums, and of what functions of the tool say of the arguments, by name."""
    metadata: ContentView | None = None
    """What the tool says of it."""
    sources: dict[str, list[str]] | None = None
    """Where each argument came from, as far as it is known: `user`, who wrote it word for word; `editor`, who changed
    it since; `untrusted`, that nobody vouches for: a document, another tool, the model. Null where nothing is."""
    votes: list[VoteView] = Field(default_factory=list[VoteView])
    history: list[HappeningView] = Field(default_factory=list[HappeningView])
    names: dict[str, str] = Field(default_factory=dict[str, str])
    """What people call everybody named here, by how they are named."""
    run_so_far: str
    """Where the run can be read: a path of this interface."""


class ApprovalPage(View):
    """Some human tasks, oldest first."""

    items: list[ApprovalView]
    next: str | None = None


class LinkView(View):
    """A link by which one person can decide one task, as it was when the link was made."""

    url: str
    approval: UUID
    principal: UUID
    """Whose link it is."""
    digest: str
    expires_at: datetime


def looked_at_text(task: ApprovalDetail) -> str:
    """What the policy looked at beside the arguments, in words."""
    facts: Any = None if task.facts is None else task.facts.value
    said: dict[str, Any] = {**task.seen, **(facts or {})}
    return ", ".join(f"{name} = {visible_json(value)}" for name, value in said.items())


def source_text(labels: Iterable[str]) -> str:
    """What labels of an argument mean, in words."""
    return ", ".join(_SOURCES.get(label, label) for label in labels)


_SOURCES = {
    "user": "the person wrote it",
    "editor": "somebody edited it since",
    "untrusted": "nobody vouches for it: a document, another tool or the model",
}
