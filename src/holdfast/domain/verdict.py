"""What policy says of a tool call: allow, ask whom, or deny, and which lines of the policy say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from holdfast.domain.rights import Role

_NUMBERS = ("one", "two", "three", "four", "five")
_ASKABLE = (Role.APPROVER, Role.ADMIN)
"""Roles that authorise, from the lighter to the heavier: whoever has a heavier one may do what the lighter ones may."""


class Decision(StrEnum):
    """What may become of a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Ask:
    """Who has to agree to a call.

    *Confirmation* is given by the person behind the run. *Authorisation* is given by `count` other persons who hold
    `role`, or a heavier one.
    """

    role: Role | None = None
    """The role that others must hold; None: the person behind the run confirms."""
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """`user`, `admin`, `two admins`, `three approvers`: as policies write it.

        Raises:
            ValueError: it is none of these; the message says what can be written.
        """
        if text == str(cls()):
            return cls()
        for role in _ASKABLE:
            for count in range(1, len(_NUMBERS) + 1):
                if text == str(found := cls(role, count)):
                    return found
        raise ValueError(
            f"'{text}' does not say who is to be asked. Write 'user' for the person behind the run, or others by role: "
            f"{', '.join(repr(role.value) for role in _ASKABLE)}, 'two admins' up to '{_NUMBERS[-1]} admins'."
        )

    def covers(self, other: Ask) -> bool:
        """Whether who agreed to this has agreed to that as well. An authorisation covers a confirmation."""
        return _grade(self) >= _grade(other) and self.count >= other.count

    def with_(self, other: Ask) -> Ask:
        """The lightest that covers both."""
        return Ask(max((self, other), key=_grade).role, max(self.count, other.count))

    @property
    def roles(self) -> frozenset[Role]:
        """Which roles let somebody authorise this. Empty for a confirmation."""
        return frozenset(_ASKABLE[_ASKABLE.index(self.role) :]) if self.role is not None else frozenset()

    def __str__(self) -> str:
        if self.role is None:
            return "user"
        return self.role.value if self.count == 1 else f"{_NUMBERS[self.count - 1]} {self.role.value}s"


def _grade(ask: Ask) -> int:
    return 0 if ask.role is None else 1 + _ASKABLE.index(ask.role)


@dataclass(frozen=True, slots=True)
class Rule:
    """A statement of a policy that had a part in a verdict."""

    id: str
    line: int
    """Where it begins in the policy's file, from 1."""
    reason: str = ""
    """What it gives as its reason: its `@reason`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of one call."""

    decision: Decision
    policy: str
    """Digest of the policy that says so."""
    reason: str = ""
    """Why, for whoever is told: the model where it denies, the approver where it asks."""
    ask: Ask | None = None
    """Who has to agree, where it asks."""
    rules: tuple[Rule, ...] = ()
    """The statements that decided."""
    seen: Mapping[str, int | str] = field(default_factory=dict[str, int | str])
    """What statements looked at of the run: the hour, how far it is, and the like."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What they looked at that is made of arguments, in JSON's shapes: what functions of the tool say, and sums with
    this call in them (`run.NAME`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a policy may look at beside the call itself: journaled values and what the engine knows, no clock."""

    principal: str
    roles: frozenset[Role]
    task: str
    env: str
    """`dev`, `staging` or `prod`."""
    local_hour: int
    """0 to 23, in the installation's time zone."""
    local_weekday: int
    """1 (Monday) to 7."""
    depth: int = 0
    """0 for the run's own agent, 1 for an agent that a tool of it runs, and so on."""
    steps: int = 0
    """Model requests and tool calls that the run has begun."""
    budget_left: int = 100
    """How much is left, in percent, of what the run may spend: 0 to 100, and 100 where nothing limits it."""
    tallies: Mapping[str, int] = field(default_factory=dict[str, int])
    """Accumulated amounts by name, in ten-thousandths, as reserved so far: without the call that is decided on."""
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Where each argument came from, by argument: `user`, `system`, `untrusted`. One that is missing is untrusted."""
