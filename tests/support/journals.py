"""Claimed runs, and reading back what their journals hold, for tests of the append path."""

import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from holdfast.domain.events import Noted
from holdfast.domain.ids import DEFAULT_TENANT, Ref
from holdfast.store.claims import Claimed
from holdfast.store.hashing import GENESIS, StoredEvent, chain_prefix, event_hash, verify_chain
from holdfast.store.journal import JournalWriter, RunJournal
from holdfast.store.pool import Database
from holdfast.store.vault import SubjectKey

KEY = SubjectKey(DEFAULT_TENANT, "somebody", secrets.token_bytes(32))


def hold_run(admin_url: str, *, tenant: UUID = DEFAULT_TENANT, session: UUID | None = None) -> Claimed:
    """A run that a worker claimed, put there with its first event."""
    run, worker, at = uuid4(), uuid4(), datetime.now(UTC)
    body = b'{"v":1,"e":{}}'
    head = event_hash(chain_prefix(tenant, run), 1, b"run_accepted", round(at.timestamp() * 1_000_000), body, GENESIS)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            "insert into holdfast.runs (tenant, id, task, task_version, state, principal, subject, session, worker,"
            " epoch, seq, head, created_at, queued_at, updated_at)"
            " values (%s, %s, 'task', '1', 'running', 'me', 'somebody', %s, %s, 1, 1, %s, now(), now(), now())",
            [tenant, run, session, worker, head],
        )
        connection.execute(
            "insert into holdfast.events (tenant, run, seq, type, at, body, hash)"
            " values (%s, %s, 1, 'run_accepted', to_timestamp(0) + %s * interval '1 microsecond', %s, %s)",
            [tenant, run, round(at.timestamp() * 1_000_000), body.decode(), head],
        )
    return Claimed(
        tenant=tenant,
        run=run,
        worker=worker,
        task="task",
        task_version="1",
        epoch=1,
        seq=1,
        head=head,
        inbox_seq=0,
        folded_seq=0,
        cancelling=False,
        claims=1,
        rewound=False,
        subject="somebody",
        principal="me",
        session=session,
        parent=None,
    )


def take_over(admin_url: str, held: Claimed) -> Claimed:
    """Another worker claims the run from where its row stands."""
    worker = uuid4()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        row = connection.execute(
            "update holdfast.runs set worker = %s, epoch = epoch + 1 where id = %s returning epoch, seq, head",
            [worker, held.run],
        ).fetchone()
    assert row is not None
    return replace(held, worker=worker, epoch=row[0], seq=row[1], head=row[2])


def signal(api_url: str, held: Claimed, kind: str = "wake") -> int:
    """Deliver a signal, as the API does."""
    with psycopg.connect(api_url) as connection:
        connection.execute("select set_config('holdfast.tenant', %s, true)", [str(held.tenant)])
        row = connection.execute(
            "select outcome, seq from holdfast.deliver_signal(%s, %s, %s, '{}', null, null, 'me', null)",
            [held.tenant, held.run, kind],
        ).fetchone()
    assert row is not None
    assert row[0] == "delivered"
    return row[1]


def stored(admin_url: str, held: Claimed) -> list[StoredEvent]:
    """The run's journal, after checking that its chain verifies up to the run's head."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        events = [
            StoredEvent(held.tenant, held.run, *row)
            for row in connection.execute(
                "select seq, type, at, convert_to(body, 'UTF8'), hash from holdfast.events where run = %s order by seq",
                [held.run],
            ).fetchall()
        ]
    row = run_row(admin_url, held)
    assert verify_chain(held.tenant, held.run, events) is None
    assert (events[-1].seq, events[-1].hash) == (row["seq"], row["head"])
    return events


def keys(admin_url: str, held: Claimed) -> list[str]:
    """Keys of the run's `noted` events, in order."""
    loaded = [event.load() for event in stored(admin_url, held) if event.type == "noted"]
    return [event.key for event in loaded if isinstance(event, Noted)]


def types(admin_url: str, held: Claimed) -> list[str]:
    """Types of the run's events after the first."""
    return [event.type for event in stored(admin_url, held)][1:]


def run_row(admin_url: str, held: Claimed) -> dict[str, Any]:
    """The run's row."""
    with psycopg.connect(admin_url, row_factory=psycopg.rows.dict_row) as connection:
        row = connection.execute("select * from holdfast.runs where id = %s", [held.run]).fetchone()
    assert row is not None
    return row


def blob_digests(admin_url: str, held: Claimed) -> set[str]:
    """Names of the content that the run stored."""
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute("select digest from holdfast.blobs where run = %s", [held.run]).fetchall()
    return {row[0].hex() for row in rows}


def noted(key: str) -> Noted:
    """A fact."""
    return Noted(scope="", key=key, value=Ref("00"))


@asynccontextmanager
async def writing(url: str, **settings: Any):
    """A writer as the worker's login."""
    async with Database.open(url, role="worker") as db, JournalWriter(db, **settings) as writer:
        yield writer


def open_journal(writer: JournalWriter, held: Claimed) -> RunJournal:
    """The journal of a held run, sealed under a key of the tests'."""
    return writer.open(held, KEY)
