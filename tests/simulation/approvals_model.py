"""What the approvals' SQL has to do, in plain Python, written from docs/approvals.md and not from the SQL.

Time is in hours since the seed began. One run, one task, and those who may have a say in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.domain.approving import Edit, edited_digest
from holdfast.domain.verdict import Ask

AUTHORISING = {"approver", "admin"}


@dataclass
class Person:
    """Somebody, or a service."""

    id: str
    service: bool = False
    disabled: bool = False
    by: str = "founder"
    since: int = -10_000
    roles: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """Who gave it, and when."""


@dataclass
class Vote:
    """In the order of being cast."""

    digest: str
    voter: str


@dataclass
class Model:
    """Everything that the rules look at."""

    people: dict[str, Person]
    principal: str
    requested_by: str | None
    ask: str
    newcomer: int
    expires: int | None
    chain: list[tuple[int, str]]
    is_question: bool = False
    now: int = 0
    digest: str = "shown"
    edited: str | None = None
    state: str = "pending"
    by: str | None = None
    cancelling: bool = False
    ended: bool = False
    requesters: list[str] = field(default_factory=list[str])
    votes: list[Vote] = field(default_factory=list[Vote])
    edits: list[Edit] = field(default_factory=list[Edit])
    told: list[tuple[str, str, tuple[str, ...], str]] = field(
        default_factory=list[tuple[str, str, tuple[str, ...], str]]
    )
    """What is in the run's inbox: verdict, digest, voters, who was asked."""

    def __post_init__(self) -> None:
        self.requesters = list(dict.fromkeys(one for one in (self.principal, self.requested_by) if one))

    @property
    def needed(self) -> int:
        return Ask.parse(self.ask).count if self.ask and not self.is_question else 1

    @property
    def roles(self) -> set[str]:
        return {role.value for role in Ask.parse(self.ask).roles} if self.ask else set()

    def refusal(self, who: str) -> str | None:  # noqa: PLR0911 - one for each rule
        """Why somebody may not decide; None where they may."""
        person = self.people.get(who)
        if self.ask == "":
            return "disabled" if person is not None and person.disabled else None
        if person is None or person.service:
            return "no_person"
        if person.disabled:
            return "disabled"
        roles = self.roles
        if self.ask == "user":
            behind = [one for one in (self.principal, self.requested_by) if one and not self.people[one].service]
            if behind:
                return None if behind[0] == who else "not_behind"
            roles = AUTHORISING
        if who in self.requesters and not self.is_question:
            return "requester"
        if not roles & person.roles.keys():
            return "role"
        return "beholden" if who in self._beholden() and not self.is_question else None

    def _beholden(self) -> set[str]:
        found = set(self.requesters)
        while True:
            more = {
                one.id
                for one in self.people.values()
                if (one.by in found and self._lately(one.since))
                or any(by in found and self._lately(at) for role, (by, at) in one.roles.items() if role in AUTHORISING)
            }
            if more <= found:
                return found
            found |= more

    def _lately(self, at: int) -> bool:
        return at > self.now - self.newcomer

    def agreeing(self) -> list[str]:
        return [one.voter for one in self.votes if one.digest == self.digest and self.refusal(one.voter) is None]

    def _settle(self, verdict: str, by: str, voters: list[str]) -> None:
        self.state, self.by = verdict, by
        if not self.ended:
            self.told.append((verdict, self.digest, tuple(voters), self.ask))

    def pass_time(self) -> tuple[int, int]:
        """What the time has brought: how often it ended, and how often it went to others."""
        if self.state != "pending":
            return 0, 0
        moved = 0
        while self.chain and self.chain[0][0] <= self.now and (self.expires is None or self.chain[0][0] < self.expires):
            self.ask = self.chain.pop(0)[1]
            moved += 1
            voters = self.agreeing()
            if self.votes and len(voters) >= self.needed:
                self._settle("approved", voters[-1], voters)
                return 0, moved
        if self.expires is not None and self.expires <= self.now:
            self._settle("expired", "expiry", [])
            return 1, moved
        return 0, moved

    def decide(self, who: str, verdict: str, digest: str, edit: str | None) -> tuple[str, str | None]:  # noqa: C901, PLR0911
        self.pass_time()
        if self.state != "pending":
            return "already", None
        if digest != self.digest:
            return "mismatch", None
        if self.cancelling:
            return "cancelling", None
        why = self.refusal(who)
        edits = verdict == "approved" and edit is not None
        if why is not None and not (edits and why == "requester"):
            return "refused", why
        did_edit = edits and edit != self.edited
        if did_edit:
            assert edit is not None
            self.edits.append(Edit(edit, who))
            self.digest, self.edited = edited_digest(self.digest, self.edits[-1:]), edit
            self.requesters = [*(one for one in self.requesters if one != who), who]
            if self.roles:
                return "edited", None
        elif why is not None:
            return "refused", why
        if why is not None:
            return "edited", why
        if verdict in {"rejected", "declined"}:
            self._settle(verdict, who, [who])
            return "decided", None
        again = any(one.digest == self.digest and one.voter == who for one in self.votes)
        if not again:
            self.votes.append(Vote(self.digest, who))
        voters = self.agreeing()
        if did_edit and who not in voters:
            voters.append(who)
        if len(voters) >= self.needed:
            self._settle("answered" if self.is_question else "approved", who, voters)
            return "decided", None
        return ("again" if again else "voted"), None
