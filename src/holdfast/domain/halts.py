"""Halts: what can be stopped, and what a stop covers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple
from uuid import UUID

from holdfast.domain.ids import PLATFORM_TENANT


class HaltScope(StrEnum):
    """What a halt stops."""

    RUN = "run"
    SESSION = "session"
    USER = "user"
    """The runs that are for one principal."""
    TASK = "task"
    TOOL = "tool"
    MODEL = "model"
    TENANT = "tenant"
    EVERYTHING = "everything"

    @property
    def holds_intents(self) -> bool:
        """Whether it holds back intents one by one, and not runs."""
        return self in {HaltScope.TOOL, HaltScope.MODEL}


class Authority(IntEnum):
    """What it takes to lift a halt: at least what its author had."""

    OWN = 1
    """Of somebody who may halt what is theirs. Only they lift it, or somebody with more."""
    OPERATOR = 2
    ADMIN = 3
    PLATFORM = 4


class Covered(NamedTuple):
    """What of a run halts are about."""

    tenant: UUID
    run: UUID
    task: str
    session: UUID | None
    principal: str


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt in force, as workers hear of it."""

    tenant: UUID
    id: UUID
    scope: HaltScope
    key: str

    def concerns(self, run: Covered) -> bool:
        """Whether a run may be held back by it: by tool or model, any run of the tenant's may."""
        if self.scope is HaltScope.EVERYTHING:
            return self.tenant == PLATFORM_TENANT
        narrowed = {
            HaltScope.RUN: str(run.run),
            HaltScope.SESSION: str(run.session),
            HaltScope.USER: run.principal,
            HaltScope.TASK: run.task,
        }
        return self.tenant == run.tenant and self.key == narrowed.get(self.scope, self.key)

    def names(self, what: str, name: str) -> bool:
        """Whether it holds back a step of a run that it concerns. The rule is `is_halted`'s in the database."""
        if not self.scope.holds_intents:
            return True
        if self.scope != what:
            return False
        return any(self.key == one or (what == "model" and self.key.endswith(f":{one}")) for one in _parts(what, name))


def names_of(what: str, name: str) -> list[str]:
    """How an intent names the tools and models that it is about: of a fallback model, each that it may ask."""
    return [f"{what}:{one}" for one in _parts(what, name)]


def covering(halts: Iterable[Halt], run: Covered, what: str, name: str) -> Halt | None:
    """The first of these that holds back a step of this run."""
    return next((halt for halt in halts if halt.concerns(run) and halt.names(what, name)), None)


def _parts(what: str, name: str) -> list[str]:
    kind, found, rest = name.partition("fallback:")
    return [name, *rest.split(",")] if what == "model" and found and not kind else [name]
