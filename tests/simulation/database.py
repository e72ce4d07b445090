"""The same calls on the real functions, each as the login role that makes it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import psycopg

from simulation.model import Answer
from simulation.plan import AT_US, Call
from simulation.rows import Member, Run
from support.store_scene import stand

STATEMENTS = {
    part.partition("\n")[0].strip(): part.partition("\n")[2].strip()
    for part in (Path(__file__).parent / "calls.sql").read_text().split("-- name:")[1:]
}
ROLES = dict.fromkeys(("accept_run", "deliver_signal", "decide_approval", "declare_halt", "lift_halt"), "api")
ROLES |= dict.fromkeys(("pass_time", "fail_over"), "owner")
TABLES = ("runs", "events", "blobs", "signals", "approvals", "idempotency_keys", "sessions", "halts", "workers")
HALF_HOUR = timedelta(minutes=30)


class Store:
    """Connections of each role to one database, used by one seed after the other."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._open = ExitStack()
        self._connections = {
            role: self._open.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=0))
            for role, url in urls.items()
        }
        self._connections["owner"].execute("set role holdfast_owner")
        self.begun = datetime.now(UTC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def vacuum(self) -> None:
        """Forget the rows of earlier seeds: the server of the tests does not by itself."""
        for table in TABLES:
            self._connections["admin"].execute(f"vacuum analyze holdfast.{table}")

    def begin(self, tenants: tuple[UUID, ...]) -> None:
        """These tenants, tables that are empty otherwise, and clock and timeline as they are."""
        owner = self._connections["owner"]
        owner.execute("update holdfast.clock set skew = '0'")
        owner.execute("update holdfast.timeline t set timeline = h.timeline from holdfast.history() h")
        admin = self._connections["admin"]
        for table in TABLES:
            admin.execute(f"delete from holdfast.{table}")
        for tenant in tenants:
            stand(admin, tenant)
        row = admin.execute("select clock_timestamp()").fetchone()
        assert row is not None
        self.begun = row[0]

    def answer(self, call: Call) -> Answer:
        """Make the call."""
        role = ROLES.get(call.verb, "worker")
        with self._holding(call):
            cursor = self._connections[role].execute(STATEMENTS[call.verb], self._arguments(call))
            rows = cursor.fetchall() if cursor.description else []
        return [] if call.verb == "register_worker" else rows

    def rows(self, tenants: tuple[UUID, ...]) -> list[Any]:
        """All that the tables hold, comparable with `expected.rows`."""
        row = (
            self._connections["admin"]
            .execute(STATEMENTS["rows"], {"tenants": list(tenants), "begun": self.begun})
            .fetchone()
        )
        assert row is not None
        return list(row)

    @contextmanager
    def _holding(self, call: Call) -> Iterator[None]:
        if call.locked is None:
            yield
            return
        with self._connections["admin"].transaction():
            self._connections["admin"].execute(STATEMENTS["lock"], {"tenant": call.locked.tenant, "id": call.locked.id})
            yield

    def _arguments(self, call: Call) -> dict[str, Any]:
        args = call.args
        match call.verb:
            case "accept_run":
                return _request(**args)
            case "append":
                return self._batch(args["members"])
            case "claim_runs":
                tasks, versions = zip(*args["offers"], strict=True)
                free = [args["free"]] * len(tasks)
                return {**args, "tasks": list(tasks), "versions": list(versions), "free": free}
            case "register_worker":
                return {**args, "serves": json.dumps(args["serves"])}
            case _:
                return {name: str(value) if name == "tenant" else value for name, value in args.items()}

    def _batch(self, members: list[Member]) -> dict[str, Any]:
        events = [(number, event) for number, member in enumerate(members, 1) for event in member.events]
        blobs = [(number, digest) for number, member in enumerate(members, 1) for digest in member.blobs]
        return {
            "m_tenant": [member.tenant for member in members],
            "m_run": [member.run for member in members],
            "m_worker": [member.worker for member in members],
            "m_epoch": [member.epoch for member in members],
            "m_seq": [member.seq for member in members],
            "m_head": [member.head for member in members],
            "m_new_seq": [member.events[-1].seq for member in members],
            "m_new_head": [member.events[-1].hash for member in members],
            "m_folded": [member.folded for member in members],
            "m_flags": [member.flags for member in members],
            "m_increments": [count for member in members for count in member.increments],
            "e_member": [number for number, _ in events],
            "e_seq": [event.seq for _, event in events],
            "e_type": [event.type for _, event in events],
            "e_at": [datetime.fromtimestamp(AT_US / 1_000_000, UTC) for _ in events],
            "e_body": [event.body for _, event in events],
            "e_hash": [event.hash for _, event in events],
            "b_member": [number for number, _ in blobs],
            "b_digest": [digest for _, digest in blobs],
            "b_body": [b"sealed" for _ in blobs],
            "rare": self._rare(members),
        }

    def _rare(self, members: list[Member]) -> str | None:
        next_, approvals = list[dict[str, Any]](), list[dict[str, Any]]()
        for number, member in enumerate(members, 1):
            if member.next is not None:
                wake = None if member.wake_at is None else self.begun + (member.wake_at + 0.5) * HALF_HOUR
                next_.append(
                    {"m": number, "state": member.next, "waiting_on": member.waiting_on}
                    | {"wake_at": wake and wake.isoformat(), "unsure": member.unsure}
                )
            approvals += [
                {"m": number, "id": str(task), "kind": kind, "scope": "", "step": 1, "call": "c", "tool": "t"}
                | {"key": None, "args": "00", "digest": digest, "why": None}
                for task, kind, digest in member.tasks
            ]
        rare: dict[str, Any] = {"next": next_} if next_ else {}
        rare |= {"approvals": approvals} if approvals else {}
        names = {str(number): member.names for number, member in enumerate(members, 1) if member.names is not None}
        rare |= {"names": names} if names else {}
        return json.dumps(rare) if rare else None


def _request(run: Run, body: str, key: str | None, request: bytes) -> dict[str, Any]:
    return {
        "tenant": str(run.tenant),
        "run": run.id,
        "task": run.task,
        "version": run.version,
        "session": run.session,
        "priority": run.priority,
        "at_s": AT_US // 1_000_000,
        "body": body,
        "hash": run.head,
        "key": key,
        "request": request,
    }
