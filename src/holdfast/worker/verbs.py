"""The lease thread's side of the store: the same verbs, on a synchronous connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.store.halts import watch_halts_sync
from holdfast.store.leases import leave_sync, renew_lease_sync

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import psycopg

    from holdfast.domain.halts import Halt
    from holdfast.store.halts import Ack
    from holdfast.store.leases import Renewal
    from holdfast.store.pool import Database

_TRIES_PER_LEASE = 4
_SILENCE_LEAST_S = 1.0


class LeaseVerbs:
    """The store's verbs on a lease."""

    def __init__(self, db: Database, lease_s: float) -> None:
        self._db = db
        self._silence_s = max(_SILENCE_LEAST_S, lease_s / _TRIES_PER_LEASE)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection for the calling thread alone. One that stays silent is given up in time for another."""
        return self._db.connect_sync(silence_s=self._silence_s)

    def renew(self, connection: psycopg.Connection[Any], worker: UUID, holding: Sequence[UUID]) -> Renewal:
        """`renew_lease`."""
        return renew_lease_sync(connection, worker, holding)

    def watch_halts(self, connection: psycopg.Connection[Any], worker: UUID, acks: Sequence[Ack]) -> Sequence[Halt]:
        """`watch_halts`."""
        return watch_halts_sync(connection, worker, acks)

    def leave(self, connection: psycopg.Connection[Any], worker: UUID) -> None:
        """`leave`."""
        leave_sync(connection, worker)
