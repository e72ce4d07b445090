"""`effect`: how a tool says what may be done with it after a crash.

A decorator marks the tool's function; the function itself is unchanged and stays callable in tests.
An undeclared tool is `once`: after a crash in the middle of it, a person is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from holdfast.domain.errors import UserError
from holdfast.domain.recovery import Recovery

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__holdfast_effect__"


@dataclass(frozen=True, slots=True)
class Happened:
    """A probe's answer: the effect took place, and this is the tool's result."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class NotHappened:
    """A probe's answer: the effect did not take place; the tool may run."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A probe's answer: it cannot tell. The effect is in doubt and a person is asked."""

    why: str = ""


ProbeAnswer = Happened | NotHappened | Unknown
Probe = Callable[..., ProbeAnswer | Awaitable[ProbeAnswer]]
"""Called as `probe(effect, **arguments)`; may be async. Must only read."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a tool declared: its recovery class, and the probe of a `reconcile` tool."""

    recovery: Recovery = Recovery.ONCE
    probe: Probe | None = None
    declared: bool = True
    cost_usd_micros: int = 0
    """What each call costs, in millionths of a dollar. `holdfast.costs` says it for a function."""


UNDECLARED = Declaration(declared=False)


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect being performed, as a tool sees it."""

    key: str
    """The idempotency key: the same for every attempt at this effect, unlike any other's."""
    attempt: int
    """1 the first time the body is entered."""
    run: UUID
    tenant: UUID
    charges: list[int] = field(default_factory=list[int], compare=False, repr=False)
    """What it has cost so far, as `holdfast.charge` was told."""


_current: ContextVar[Effect | None] = ContextVar("holdfast_effect", default=None)


class _EffectDecorators:
    """The namespace users import: `from holdfast import effect`."""

    Happened = Happened
    NotHappened = NotHappened
    Unknown = Unknown

    def pure(self, function: F) -> F:
        """No outside consequence: it may run again freely."""
        return _mark(function, Declaration(Recovery.PURE))

    def idempotent(self, function: F) -> F:
        """The other side recognises `effect.key()`: it may run again with the same key."""
        return _mark(function, Declaration(Recovery.IDEMPOTENT))

    def delegate(self, function: F) -> F:
        """The body only runs agents named in `app.task(agents=[...])`: it is entered again, their steps are not."""
        return _mark(function, Declaration(Recovery.DELEGATE))

    def once(self, function: F) -> F:
        """Never run again unasked: after a crash in the middle, a person says what happened."""
        return _mark(function, Declaration(Recovery.ONCE))

    def reconcile(self, *, probe: Probe) -> Callable[[F], F]:
        """After a crash, ask `probe(effect, **arguments)` whether it happened; then go on accordingly."""

        def decorate(function: F) -> F:
            return _mark(function, Declaration(Recovery.RECONCILE, probe))

        return decorate

    def current(self) -> Effect:
        """The effect this tool call performs.

        Raises:
            UserError: called outside a tool that Holdfast runs.
        """
        found = _current.get()
        if found is None:
            raise UserError(
                "effect.current() was called outside a tool call of a Holdfast run. "
                "In a unit test, wrap the call in holdfast.testing.effect_scope(...)."
            )
        return found

    def key(self) -> str:
        """The idempotency key of this tool call: hand it to the system you call."""
        return self.current().key


effect = _EffectDecorators()


def _mark(function: F, declaration: Declaration) -> F:
    if getattr(function, _MARK, None) is not None:
        raise UserError(
            f"Tool function '{getattr(function, '__name__', function)}' declares two recovery classes. Keep one."
        )
    setattr(function, _MARK, declaration)
    return function


def declared_on(function: Any) -> Declaration | None:
    """The declaration a decorator left on `function`, through wrappers that keep `__wrapped__`."""
    while function is not None:
        found = getattr(function, _MARK, None)
        if isinstance(found, Declaration):
            return found
        function = getattr(function, "__wrapped__", None)
    return None


def enter(begun: Effect) -> None:
    """Make `begun` the current effect of this task and of the threads it starts."""
    _current.set(begun)


@contextmanager
def performing(begun: Effect) -> Generator[None]:
    """`begun` is the current effect while the block runs."""
    token = _current.set(begun)
    try:
        yield
    finally:
        _current.reset(token)
