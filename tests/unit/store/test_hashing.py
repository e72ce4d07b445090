"""The chain of hashes: its exact preimage, and that every tampering is found at its place."""

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.store.hashing import GENESIS, StoredEvent, chain_prefix, event_hash, microseconds, verify_chain

TENANT, RUN = UUID(int=1), UUID(int=2)


def chain(bodies, tenant=TENANT, run=RUN):
    previous, events = GENESIS, []
    for seq, body in enumerate(bodies, 1):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=seq)
        previous = event_hash(chain_prefix(tenant, run), seq, b"noted", microseconds(at), body, previous)
        events.append(StoredEvent(tenant, run, seq, "noted", at, body, previous))
    return events


def test_the_preimage_is_the_one_of_the_page_on_the_store():
    preimage = (
        b"holdfast.event.1\n"
        + TENANT.bytes
        + RUN.bytes
        + struct.pack(">Q", 7)
        + struct.pack(">H", 5)
        + b"noted"
        + struct.pack(">q", 1_000_001)
        + struct.pack(">I", 2)
        + b"{}"
        + bytes(range(32))
    )
    found = event_hash(chain_prefix(TENANT, RUN), 7, b"noted", 1_000_001, b"{}", bytes(range(32)))
    assert found == hashlib.sha256(preimage).digest()


def test_times_are_exact_to_the_microsecond_also_before_1970():
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert microseconds(datetime(2026, 11, 20, 12, 0, 0, 123_457, tzinfo=UTC)) % 1_000_000 == 123_457


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_an_untouched_chain_verifies_whole_and_from_any_place(bodies):
    events = chain(bodies)
    assert verify_chain(TENANT, RUN, events) is None
    for cut in range(1, len(events)):
        last = events[cut - 1]
        assert verify_chain(TENANT, RUN, events[cut:], after=(last.seq, last.hash)) is None


CHANGES = {
    "body": lambda event: event._replace(body=event.body + b" "),
    "type": lambda event: event._replace(type="notes"),
    "time": lambda event: event._replace(at=event.at + timedelta(microseconds=1)),
    "hash": lambda event: event._replace(hash=bytes(32)),
    "run": lambda event: event._replace(run=UUID(int=3)),
    "tenant": lambda event: event._replace(tenant=UUID(int=3)),
    "seq": lambda event: event._replace(seq=event.seq + 1),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_changed_event_is_found_at_its_place(change, place):
    events = chain([b"a", b"b", b"c", b"d"])
    events[place] = CHANGES[change](events[place])
    found = verify_chain(TENANT, RUN, events)
    assert found is not None
    assert found.seq == place + 1


def test_dropped_swapped_and_foreign_events_are_found():
    events = chain([b"a", b"b", b"c"])
    assert verify_chain(TENANT, RUN, [events[0], events[2]]).seq == 2
    assert verify_chain(TENANT, RUN, [events[0], events[2], events[1]]).seq == 2
    foreign = [event._replace(run=RUN) for event in chain([b"a", b"b", b"c"], run=UUID(int=9))]
    assert verify_chain(TENANT, RUN, foreign).seq == 1
