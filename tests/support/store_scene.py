"""Speaking to the store's SQL as the real login roles, without the Python in between."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row, namedtuple_row
from uuid_utils.compat import uuid7

from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.ledger import Amounts

TENANT = UUID(str(DEFAULT_TENANT))
DEADLINE_S = 60
AT = datetime(2026, 1, 1, tzinfo=UTC)

APPEND = """
select idx, outcome, inbox_seq, cancelling, why from holdfast.append(
  %(m_tenant)s::uuid[], %(m_run)s::uuid[], %(m_worker)s::uuid[], %(m_epoch)s::bigint[], %(m_seq)s::bigint[],
  %(m_head)s::bytea[], %(m_new_seq)s::bigint[], %(m_new_head)s::bytea[], %(m_folded)s::bigint[], %(m_flags)s::int[],
  %(m_increments)s::bigint[], %(e_member)s::int[], %(e_seq)s::bigint[], %(e_type)s::text[], %(e_at)s::timestamptz[],
  %(e_body)s::text[], %(e_hash)s::bytea[], %(b_member)s::int[], %(b_digest)s::bytea[], %(b_body)s::bytea[], %(rare)s,
  %(c_texts)s::text[], %(c_numbers)s::bigint[])
"""


@dataclass
class Held:
    """A run as its writer knows it."""

    tenant: UUID
    run: UUID
    worker: UUID
    epoch: int
    seq: int
    head: bytes


@dataclass
class Member:
    """One run's part of a batch."""

    held: Held
    bodies: list[str] = field(default_factory=lambda: ["{}"])
    intent: bool = False
    progress: bool = False
    rewound_handled: bool = False
    folded: int = 0
    increments: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    blobs: list[tuple[bytes, bytes]] = field(default_factory=list)
    next: dict[str, Any] | None = None
    approvals: list[dict[str, Any]] = field(default_factory=list)
    tallies: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    unbounded: bool = False
    names: list[str] | None = None
    costs: list[tuple[str, str, str, int, Amounts]] = field(default_factory=list)
    """Lines for the ledger: kind, name, feature, the day as days since 1970, what is added."""

    @property
    def hashes(self) -> list[bytes]:
        found, head = [], self.held.head
        for body in self.bodies:
            head = hashlib.sha256(head + body.encode()).digest()
            found.append(head)
        return found


def parameters(members: list[Member]) -> dict[str, Any]:
    numbered = list(enumerate(members, 1))
    rare: dict[str, Any] = {
        "next": [{"m": n, **m.next} for n, m in numbered if m.next],
        "approvals": [{"m": n, **row} for n, m in numbered for row in m.approvals],
        "tallies": [{"m": n, **row} for n, m in numbered for row in m.tallies],
        "budgets": [{"m": n, **row} for n, m in numbered for row in m.budgets],
    }
    rare["names"] = {str(n): m.names for n, m in numbered if m.names is not None}
    rare = {name: rows for name, rows in rare.items() if rows}
    events = [
        (n, m.held.seq + i, body, hash_)
        for n, m in numbered
        for i, (body, hash_) in enumerate(zip(m.bodies, m.hashes, strict=True), 1)
    ]
    blobs = [(n, digest, body) for n, m in numbered for digest, body in m.blobs]
    return {
        "m_tenant": [m.held.tenant for m in members],
        "m_run": [m.held.run for m in members],
        "m_worker": [m.held.worker for m in members],
        "m_epoch": [m.held.epoch for m in members],
        "m_seq": [m.held.seq for m in members],
        "m_head": [m.held.head for m in members],
        "m_new_seq": [m.held.seq + len(m.bodies) for m in members],
        "m_new_head": [m.hashes[-1] for m in members],
        "m_folded": [m.folded for m in members],
        "m_flags": [m.intent | m.progress << 1 | m.rewound_handled << 2 | m.unbounded << 3 for m in members],
        "m_increments": [n for m in members for n in m.increments],
        "e_member": [e[0] for e in events],
        "e_seq": [e[1] for e in events],
        "e_type": ["noted"] * len(events),
        "e_at": [AT] * len(events),
        "e_body": [e[2] for e in events],
        "e_hash": [e[3] for e in events],
        "b_member": [b[0] for b in blobs],
        "b_digest": [b[1] for b in blobs],
        "b_body": [b[2] for b in blobs],
        "c_texts": [text for m in members for line in m.costs for text in line[:3]],
        "c_numbers": [number for n, m in numbered for *_, day, added in m.costs for number in (n, day, *added)],
        "rare": json.dumps(rare, default=str) if rare else None,
    }


def append(connection: psycopg.Connection[Any], *members: Member) -> list[Any]:
    """One row per member. A member that was appended has its writer's knowledge moved on."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        answers = cursor.execute(APPEND, parameters(list(members))).fetchall()
    for member, answer in zip(members, answers, strict=True):
        if answer.outcome == "appended":
            hashes = member.hashes
            member.held.seq, member.held.head = member.held.seq + len(member.bodies), hashes[-1]
    return answers


def outcomes(connection: psycopg.Connection[Any], *members: Member) -> list[str]:
    return [answer.outcome for answer in append(connection, *members)]


def approval(**more: Any) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "kind": "approval",
        "scope": "",
        "step": 1,
        "call": "c",
        "tool": "t",
        "key": None,
        "args": "00ff",
        "digest": "shown",
        "why": None,
        **more,
    }


PARK = {"state": "parked", "waiting_on": "signal", "wake_at": None}
SUCCEED = {"state": "succeeded"}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for what another session brings about and tells us nothing of."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.005)
    return found


class Aside:
    """Something done in a thread, whose result or error is asked for later."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(act,), daemon=True)
        self._thread.start()

    def _run(self, act: Callable[[], Any]) -> None:
        try:
            self._result = act()
        except BaseException as error:  # noqa: BLE001  raised again by whoever asks for the result
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(DEADLINE_S)
        assert self.done, "it hangs"
        if self._error:
            raise self._error
        return self._result


def stand(admin: psycopg.Connection[Any], tenant: UUID) -> UUID:
    """The tenant, made if there is none."""
    made = "insert into holdfast.tenants (id, name) values (%s, 't' || left(%s, 59)) on conflict do nothing"
    admin.execute(made, [tenant, str(tenant)])
    return tenant


class Scene:
    """A database, and short words for what tests do in it."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self._open: list[psycopg.Connection[Any]] = []
        self.worker = self.connect("holdfast_worker")
        self.api = self.connect("holdfast_api")
        self.admin = self.connect("admin")

    def connect(self, role: str) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.database.url_of(role), autocommit=True)
        self._open.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    def one(self, sql: str, *values: Any) -> Any:
        """One value, as a superuser."""
        row = self.admin.execute(sql, values).fetchone()
        return row[0] if row else None

    def row(self, run: UUID) -> dict[str, Any]:
        with self.admin.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute("select * from holdfast.runs where id = %s", [run]).fetchone()
        assert found is not None
        return found

    def call(self, connection: psycopg.Connection[Any], tenant: UUID, sql: str, *values: Any) -> list[Any]:
        """Rows of a statement in the scope of a tenant."""
        with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute("select set_config('holdfast.tenant', %s, true)", [str(tenant)])
            return cursor.execute(sql, values).fetchall()

    def stand(self, tenant: UUID) -> UUID:
        """The tenant, made if there is none."""
        return stand(self.admin, tenant)

    def accept(
        self,
        tenant: UUID = TENANT,
        task: str = "t",
        version: str = "1",
        priority: int = 0,
        session: UUID | None = None,
        run: UUID | None = None,
        principal: str = "p",
    ) -> UUID:
        run = run or uuid7()
        self.stand(tenant)
        rows = self.call(
            self.api,
            tenant,
            "select outcome from holdfast.accept_run(%s, %s, %s, %s, %s, %s, 's', null, %s::int, %s, '{}', %s, %s, %s,"
            " null, null, null)",
            tenant,
            run,
            task,
            version,
            session,
            principal,
            priority,
            AT,
            b"h" * 32,
            [b"d"],
            [b"x"],
        )
        assert rows[0].outcome == "accepted"
        return run

    def register(self, lease_s: float = 3600, **serves: list[str]) -> UUID:
        worker = uuid7()
        self.worker.execute(
            "select holdfast.register_worker(%s, 'host', 1, %s, %s)",
            [worker, json.dumps(serves or {"t": ["1"]}), lease_s],
        )
        return worker

    def claim(
        self,
        worker: UUID,
        want: int = 100,
        tasks: tuple[str, ...] = ("t",),
        versions: tuple[str, ...] = ("1",),
        free: tuple[int, ...] = (1000,),
        connection: psycopg.Connection[Any] | None = None,
    ) -> list[Any]:
        with (connection or self.worker).cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(
                "select * from holdfast.claim_runs(%s, %s, %s, %s, %s)",
                [worker, want, list(tasks), list(versions), list(free)],
            ).fetchall()

    def hold(self, count: int = 1, worker: UUID | None = None, **more: Any) -> list[Held]:
        """Runs accepted and claimed."""
        worker = worker or self.register()
        accepted = [self.accept(**more) for _ in range(count)]
        found = {row.id: row for row in self.claim(worker)}
        return [
            Held(row.tenant, row.id, worker, row.epoch, row.seq, row.head) for row in (found[run] for run in accepted)
        ]

    def signal(self, run: UUID, kind: str = "wake", dedupe: str | None = None, tenant: UUID = TENANT) -> Any:
        return self.call(
            self.api,
            tenant,
            "select * from holdfast.deliver_signal(%s, %s, %s, '{}', null, null, 'me', %s)",
            tenant,
            run,
            kind,
            dedupe,
        )[0]

    def decide(
        self,
        task: UUID,
        verdict: str,
        digest: str = "shown",
        by: str = "me",
        tenant: UUID = TENANT,
        content: bytes | None = None,
        newcomer_s: float = 0,
        via: str | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> Any:
        return self.call(
            connection or self.api,
            tenant,
            "select * from holdfast.decide_approval(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            tenant,
            task,
            verdict,
            digest,
            by,
            content,
            content and hashlib.sha256(content).digest(),
            newcomer_s,
            via,
        )[0]

    def halt(
        self,
        scope: str,
        key: str = "",
        tenant: UUID = TENANT,
        connection: Any = None,
        *,
        by: str = "me",
        authority: int = 3,
        for_s: float | None = None,
    ) -> Any:
        """Declare a halt: `.halt` is its id, `.is_new` whether it was not in force before."""
        return self.call(
            connection or self.api,
            tenant,
            "select * from holdfast.declare_halt(%s, %s, %s, %s, 'why', %s, %s, %s::double precision)",
            tenant,
            uuid7(),
            scope,
            key,
            by,
            authority,
            for_s,
        )[0]

    def lift(
        self, halt: UUID, tenant: UUID = TENANT, *, by: str = "me", authority: int = 3, only: str | None = None
    ) -> str:
        """Lift a halt; what was answered."""
        sql = "select holdfast.lift_halt(%s, %s, %s, %s, %s) as said"
        return self.call(self.api, tenant, sql, tenant, halt, by, authority, only)[0].said

    def watch(self, worker: UUID, acks: list[dict[str, Any]] | None = None) -> list[Any]:
        """The halts in force, as a worker hears of them."""
        with self.worker.cursor(row_factory=namedtuple_row) as cursor:
            said = json.dumps(acks, default=str) if acks else None
            return cursor.execute("select * from holdfast.watch_halts(%s, %s)", [worker, said]).fetchall()

    def renew(self, worker: UUID, holding: list[UUID]) -> list[Any]:
        with self.worker.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute("select * from holdfast.renew_lease(%s, %s)", [worker, holding]).fetchall()

    def tick(self, limit: int = 100, connection: psycopg.Connection[Any] | None = None) -> dict[str, int]:
        with (connection or self.worker).cursor(row_factory=dict_row) as cursor:
            found = cursor.execute("select * from holdfast.tick(%s)", [limit]).fetchone()
        assert found is not None
        return {name: count for name, count in found.items() if count}

    def move_clock(self, seconds: float) -> None:
        with self.database.as_owner() as owner:
            owner.execute("update holdfast.clock set skew = skew + make_interval(secs => %s)", [seconds])

    @contextmanager
    def locked(self, table: str, where: str, *values: Any) -> Iterator[None]:
        """A row held by somebody else, by the strongest lock, for as long as the block runs."""
        with self.connect("admin") as other, other.transaction():
            found = other.execute(f"select 1 from holdfast.{table} where {where} for update", values).fetchall()
            assert found, "there is no such row to hold"
            yield

    def until_waiting(self, connection: psycopg.Connection[Any]) -> None:
        """Until that session waits for a lock."""
        pid = connection.info.backend_pid
        until(
            lambda: self.one("select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", pid),
            "the session waits for a lock",
        )
