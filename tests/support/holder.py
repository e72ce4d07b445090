"""A worker as far as its journal goes: claims runs and appends what a test says, through the real writer."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from holdfast.domain import events as ev
from holdfast.domain.recovery import Recovery
from holdfast.domain.state import RunState, WaitingOn
from holdfast.service.services import Services
from holdfast.store.claims import Claimed, claim_runs
from holdfast.store.hints import Hints
from holdfast.store.inbox import Signal, read_inbox
from holdfast.store.journal import ApprovalRow, Finish, JournalWriter, Park, RunJournal, Spending
from holdfast.store.leases import register_worker
from holdfast.store.live import LivePublisher, LiveRun
from holdfast.store.pool import Database
from holdfast.store.reader import RunReader
from holdfast.store.vault import SubjectKey, Vault, WrappingKey

KEY = WrappingKey(bytes(range(32)))
TASKS = {"support": "3", "order": "1"}


@asynccontextmanager
async def open_services(api_url: str, app: Any = None) -> AsyncIterator[Services]:
    """What an API process has."""
    async with Database.open(api_url, role="api") as db, Hints(db) as hints:
        await hints.listening.wait()
        yield Services(db=db, vault=Vault(db, KEY), reader=RunReader(db), hints=hints, app=app)


@dataclass
class HeldRun:
    """One claimed run."""

    claim: Claimed
    journal: RunJournal
    key: SubjectKey
    holder: Holder
    seq: int = 1
    approvals: list[UUID] = field(default_factory=list)

    async def append(self, *events: ev.AnyEvent, **more: Any) -> int:
        """Append and hint, as a worker does; the sequence of the last event."""
        await self.journal.append(*events, **more)
        self.seq += len(events)
        self.holder.hints.notify(f"r:{self.claim.run}")
        return self.seq

    def text(self, value: Any) -> Any:
        return self.journal.seal(json.dumps(value).encode())

    async def claimed(self) -> int:
        return await self.append(
            ev.RunClaimed(epoch=self.claim.epoch, worker=self.claim.worker, holdfast="0", pydantic_ai="2.68.0")
        )

    async def ask_model(self, step: int = 1, *, scope: str = "", attempt: int = 1) -> int:
        return await self.append(
            ev.ModelRequested(
                scope=scope, step=step, attempt=attempt, model="scripted", messages=ev.Messages(), streamed=True
            ),
            # It uses nothing of budgets, and says so: where a tenant has any, it would not be let in otherwise.
            rows=[Spending(what="reserve", step=f"{scope}#{step}", attempt=attempt)],
        )

    async def respond(self, *parts: dict[str, Any], step: int = 1, scope: str = "", attempt: int = 1) -> int:
        response = self.text({"kind": "response", "parts": list(parts)})
        return await self.append(
            ev.ModelResponded(
                scope=scope,
                step=step,
                attempt=attempt,
                response=response,
                history=ev.Messages(),
                model="scripted",
                usage=ev.Usage(input_tokens=7, output_tokens=5, requests=1),
                latency_ms=12,
            )
        )

    async def start_tool(self, tool: str = "refund", *, call: str = "c1", args: Any = None) -> int:
        return await self.append(
            ev.ToolStarted(
                scope="",
                step=1,
                call=call,
                tool=tool,
                recovery=Recovery.ONCE,
                key=f"{self.claim.run}/1/{call}",
                args=self.text(args or {}),
                schema="",
            )
        )

    async def finish_tool(self, result: Any, tool: str = "refund", *, call: str = "c1") -> int:
        value = self.text({"kind": "value", "value": result})
        return await self.append(
            ev.ToolFinished(
                scope="", step=1, call=call, tool=tool, outcome="value", result=value, model_args=value, latency_ms=3
            )
        )

    async def ask_person(
        self, args: dict[str, Any], *, kind: str = "approval", call: str = "c1", event: dict[str, Any] | None = None,
        sources: dict[str, list[str]] | None = None, tool: str = "refund", **more: Any,
    ) -> UUID:  # fmt: skip
        """Open a human task and park on it. `more` is of its row, `event` of the event that asks."""
        approval, ref = uuid7(), self.text(args)
        if sources is not None:
            event = {**(event or {}), "sources": self.text(sources)}
        digest = f"digest-of-{ref[:8]}"
        if kind == "approval":
            fact: Any = ev.ApprovalAsked(
                approval=approval, scope="", step=1, call=call, tool="refund", args=ref, digest=digest, **(event or {})
            )
            waiting = WaitingOn.APPROVAL
        elif kind == "question":
            fact = ev.QuestionAsked(
                approval=approval, scope="", step=1, call=call, tool="refund", schema="", args=ref, digest=digest,
                **{"kind": "question", **(event or {})},
            )  # fmt: skip
            waiting = WaitingOn.QUESTION
        elif kind == "escalation":
            fact = ev.Escalated(
                approval=approval, trouble="limit" if tool else "failure", limit=tool, context=ref, message=ref,
                digest=digest,
            )  # fmt: skip
            waiting = WaitingOn.LIMIT if tool else WaitingOn.ESCALATION
        else:
            fact = ev.EffectInDoubt(
                approval=approval, scope="", step=1, call=call, tool="refund", key="k", why="its worker died"
            )
            waiting = WaitingOn.IN_DOUBT
        row = ApprovalRow(
            id=approval,
            kind=kind,
            scope="",
            step=1,
            call=call,
            tool=tool,
            args=ref,
            digest=digest,
            key="k",
            why="w",
            **more,
        )
        await self.append(fact, ev.RunParked(waiting_on=waiting), rows=[row], park=Park(waiting))
        return approval

    async def succeed(self, output: Any = "done") -> int:
        event = ev.RunSucceeded(output=self.text(output), history=ev.Messages(), usage=ev.Usage())
        return await self.append(event, finish=Finish(RunState.SUCCEEDED), fold_to=self.journal.inbox_seq)

    async def fail(self, error: str = "UserError", message: str = "it broke") -> int:
        event = ev.RunFailed(error=error, message=self.text(message), place="step 1")
        return await self.append(event, finish=Finish(RunState.FAILED), fold_to=self.journal.inbox_seq)

    async def cancelled(self) -> int:
        event = ev.RunCancelled(by="local")
        return await self.append(event, finish=Finish(RunState.CANCELLED), fold_to=self.journal.inbox_seq)

    async def inbox(self) -> list[Signal]:
        return await read_inbox(self.holder.db, self.claim.tenant, self.claim.run, after=0)

    def live(self) -> LiveRun:
        return self.holder.publisher.open(self.claim.tenant, self.claim.run, self.key)

    def opened(self, signal: Signal) -> Any:
        assert signal.content is not None
        assert signal.digest is not None
        return json.loads(self.key.open(signal.digest, signal.content))


@dataclass
class Holder:
    """One worker process's parts."""

    db: Database
    hints: Hints
    writer: JournalWriter
    vault: Vault
    publisher: LivePublisher
    worker: UUID

    async def claim(self) -> HeldRun:
        """The one queued run."""
        [claim] = await claim_runs(self.db, self.worker, 1, list(TASKS), list(TASKS.values()), [1] * len(TASKS))
        key = await self.vault.subject(claim.tenant, claim.subject)
        return HeldRun(claim, self.writer.open(claim, key), key, self, seq=claim.seq)


@asynccontextmanager
async def open_holder(worker_url: str, *, lease_s: float = 600.0, **live: float) -> AsyncIterator[Holder]:
    """A registered worker."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(Database.open(worker_url, role="worker"))
        hints = await stack.enter_async_context(Hints(db))
        await hints.listening.wait()
        writer = await stack.enter_async_context(JournalWriter(db))
        publisher = LivePublisher(db, hints, **live)
        stack.push_async_callback(publisher.aclose)
        worker = uuid7()
        await register_worker(db, worker, "test", os.getpid(), {name: [one] for name, one in TASKS.items()}, lease_s)
        yield Holder(db, hints, writer, Vault(db, KEY), publisher, worker)
