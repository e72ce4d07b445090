"""The chain of hashes over a run's journal.

Each event's hash covers a format tag, tenant, run, sequence, type, the writer's time, the exact bytes of the
body and the hash before it. Whoever changes, drops, swaps or moves an event breaks the chain at that place,
and anyone who has the rows can find it: no key is needed, and erased content does not matter, since bodies
hold only references.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct
from typing import NamedTuple
from uuid import UUID

from holdfast.domain.events import AnyEvent
from holdfast.domain.stored import load

FORMAT = b"holdfast.event.1\n"
GENESIS = bytes(32)
"""What stands for the previous hash at the first event."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_seq = Struct(">Q").pack
_type_length = Struct(">H").pack
_at_and_body_length = Struct(">qI").pack


class StoredEvent(NamedTuple):
    """One row of `events`, as it was hashed."""

    tenant: UUID
    run: UUID
    seq: int
    type: str
    at: datetime
    """The writer's clock."""
    body: bytes
    hash: bytes

    def load(self) -> AnyEvent:
        """The event itself.

        Raises:
            UnknownEvent: it was written by a newer Holdfast.
        """
        return load(self.type, self.body)


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain stops verifying, and why."""

    seq: int
    why: str


def chain_prefix(tenant: UUID, run: UUID) -> bytes:
    """What every preimage of a run begins with: made once per run, since appending is a hot path."""
    return FORMAT + tenant.bytes + run.bytes


def event_hash(prefix: bytes, seq: int, type_: bytes, at_us: int, body: bytes, previous: bytes) -> bytes:
    """The hash of one event. `at_us` is microseconds since the Unix epoch."""
    return chained_hash(prefix, seq, _type_length(len(type_)) + type_, at_us, body, previous)


def chained_hash(prefix: bytes, seq: int, typed: bytes, at_us: int, body: bytes, previous: bytes) -> bytes:
    """The same, given the type's name with its length before it, which is made once per type."""
    return sha256(b"".join((prefix, _seq(seq), typed, _at_and_body_length(at_us, len(body)), body, previous))).digest()


def microseconds(at: datetime) -> int:
    """Microseconds since the Unix epoch, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def verify_chain(
    tenant: UUID, run: UUID, events: Iterable[StoredEvent], *, after: tuple[int, bytes] = (0, GENESIS)
) -> Break | None:
    """Check that `events` continue the chain of this run without a gap.

    `after` is the sequence and hash of the event before the first: the default checks a journal from its
    beginning. Compare the last hash with the run's head yourself, or a cut-off tail goes unnoticed.
    """
    prefix = chain_prefix(tenant, run)
    seq, previous = after
    for event in events:
        seq += 1
        if (event.tenant, event.run) != (tenant, run):
            return Break(seq, f"the event belongs to run {event.run} of tenant {event.tenant}")
        if event.seq != seq:
            return Break(seq, f"expected event {seq}, found event {event.seq}")
        found = event_hash(prefix, seq, event.type.encode(), microseconds(event.at), event.body, previous)
        if found != event.hash:
            return Break(seq, "the stored hash is not the hash of the event and the one before it")
        previous = found
    return None
