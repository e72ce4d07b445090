"""`effect_scope`: call a tool's function in a unit test as a Holdfast run would."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.effects.declare import Effect, performing

_RUN = UUID("00000000-0000-7000-8000-00000000000a")


@contextmanager
def effect_scope(key: str = "test-key", *, attempt: int = 1) -> Generator[Effect]:
    """Inside the block `effect.key()` answers `key`, as it does inside a tool call of a run.

    Args:
        key: the idempotency key. Enter twice with the same one to see what a second attempt at the effect does.
        attempt: 1 the first time the body is entered, more after a crash.
    """
    scope = Effect(key=key, attempt=attempt, run=_RUN, tenant=DEFAULT_TENANT)
    with performing(scope):
        yield scope
