"""What is checked of a run that has ended: its journal, what people were asked, the bank's books, each by the others.

Nothing here asks the code under test who had to agree: `bank_policy` knows what each policy says of an amount.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from bank import NO_KEYS, Bank, Entry
from bank_app import paid
from bank_people import People
from bank_plot import Run
from bank_policy import ADMINS, DENY, FREE, USER, Terms, covers
from crash_scene import Onlooker, Superuser
from judging import broken, loaded, repeated_in

from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.service.services import Services
from holdfast.store.hashing import StoredEvent

Place = tuple[str, int, str]


@dataclass
class Count:
    """Sums over runs. `lost`, `reused` and `wrong` are to be zero or empty."""

    runs: Counter[str] = field(default_factory=Counter)
    """By the state they ended in."""
    asked: int = 0
    """Approvals that were asked for, each round of a call by itself."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """What became of them."""
    effects: int = 0
    """Payments."""
    retries: int = 0
    """Calls that the bank got more than once, with the same key."""
    denied: int = 0
    in_doubt: int = 0
    lost: int = 0
    """Approvals that were asked for, and that nobody accounts for."""
    reused: int = 0
    """Approvals by which more than one effect happened."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Judge:
    """Looks at one run after another, and remembers which approval authorised what."""

    services: Services
    connection: Superuser
    onlooker: Onlooker
    bank: Bank
    people: People
    terms: Mapping[str, Terms]
    """By the digest of the policy."""
    count: Count = field(default_factory=Count)
    used: dict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The keys of the effects that each approval authorised, over all runs."""

    async def look(self, run: Run, row: dict[str, Any], journal: list[StoredEvent]) -> None:
        case = await Case.opened(self, run, row, journal)
        case.judge()
        self.count.runs[row["state"]] += 1
        self.count.wrong += [f"{run.plot.opening} ({run.id}, {row['state']}): {fault}" for fault in case.faults]


@dataclass
class Case:
    """One run."""

    judge_: Judge
    run: Run
    row: dict[str, Any]
    journal: list[StoredEvent]
    events: list[ev.AnyEvent]
    tasks: dict[UUID, dict[str, Any]]
    votes: dict[tuple[UUID, str], set[str]]
    """Who agreed, by task and digest."""
    content: dict[str, Any]
    calls: list[Entry]
    payments: list[Entry]
    faults: list[str] = field(default_factory=list)
    asked: dict[Place, list[ev.ApprovalAsked]] = field(default_factory=lambda: defaultdict(list))
    decided: dict[UUID, ev.ApprovalDecided] = field(default_factory=dict)
    started: dict[str, list[ev.ToolStarted]] = field(default_factory=lambda: defaultdict(list))
    undone: set[str] = field(default_factory=set)
    """Keys of effects that were begun and, as people say, did not happen: what follows may be edited since."""

    @classmethod
    async def opened(cls, judge: Judge, run: Run, row: dict[str, Any], journal: list[StoredEvent]) -> "Case":
        events = loaded(journal)
        refs = {ref for event in events for ref in _refs(event)}
        key = await judge.services.subject_key(DEFAULT_TENANT, row["subject"])
        reader = judge.services.reader
        plain = await judge.services.db.repeat(lambda: reader.content_of(DEFAULT_TENANT, run.id, refs, key))
        tasks = judge.connection.dicts("select * from holdfast.approvals where run = %s", [run.id])
        votes: dict[tuple[UUID, str], set[str]] = defaultdict(set)
        for task, digest, voter in judge.connection.execute(
            "select approval, digest, voter from holdfast.approval_votes where approval = any(%s)",
            [[task["id"] for task in tasks]],
        ):
            votes[task, digest].add(voter)
        return cls(
            judge,
            run,
            row,
            journal,
            events,
            {task["id"]: task for task in tasks},
            votes,
            {ref: orjson.loads(body) for ref, body in plain.items()},
            judge.bank.calls_of(str(run.id)),
            judge.bank.payments_of(str(run.id)),
        )

    def judge(self) -> None:
        self.faults += broken(self.row, self.journal)
        self.faults += repeated_in(self.events)
        self._no_event_changed()
        for event in self.events:
            match event:
                case ev.ApprovalAsked():
                    self._asked(event)
                case ev.ApprovalDecided():
                    self._decided(event)
                case ev.ToolStarted():
                    self._started(event)
                case ev.CallDenied():
                    self._denied(event)
                case ev.EffectResolved(resolution="not_done"):
                    self.undone.add(event.key)
                case ev.EffectInDoubt():
                    self.judge_.count.in_doubt += 1
                case _:
                    pass
        self._every_task_is_accounted_for()
        self._the_bank_agrees()
        self._the_end()

    # --- the journal, in order ---------------------------------------------------------------------------------------

    def _no_event_changed(self) -> None:
        seen = self.judge_.onlooker.seen[self.run.id]
        if seen != [stored.hash for stored in self.journal[: len(seen)]]:
            self.faults.append("events that were read are not there any more as they were")

    def _asked(self, event: ev.ApprovalAsked) -> None:
        before = self.asked[_place(event)]
        if before and before[-1].approval not in self.decided:
            self.faults.append(f"{event.call} is asked about while it is being asked about")
        if (event.round, event.tool) != (len(before) + 1, self._payment(event.args).tool):
            self.faults.append(f"{event.call}: round {event.round} of '{event.tool}' after {len(before)}")
        before.append(event)
        self.judge_.count.asked += 1

    def _decided(self, event: ev.ApprovalDecided) -> None:
        task = self.tasks.get(event.approval)
        if event.approval in self.decided:
            self.faults.append(f"{event.approval} is decided twice")
        self.decided[event.approval] = event
        if task is None or all(event.approval != one.approval for one in self._questions()):
            self.faults.append(f"{event.approval} is decided and was never asked")
            return
        said = "expired" if event.on_expiry is not None else event.verdict
        digest = task["digest"] if said == "approved" else ""
        if (said, event.digest, event.by) != (task["state"], digest, task["decided_by"]):
            self.faults.append(f"the journal has {event}, and its task {task}")
        self.judge_.count.verdicts[said] += 1

    def _started(self, event: ev.ToolStarted) -> None:
        """An intent: by whose leave?"""
        earlier, args = self.started[event.key], self.content[event.args]
        self.started[event.key].append(event)
        if earlier and earlier[-1].args != event.args and event.key not in self.undone:
            self.faults.append(f"{event.key} is begun again as another call: {earlier[-1]}, {event}")
        asks = self.judge_.terms[event.policy].ask(args["amount"])
        questions = self.asked[_place(event)]
        if asks == FREE and not questions:
            return
        if asks == DENY:
            self.faults.append(f"{args} is begun though policy denies it")
            return
        last = questions[-1] if questions else None
        decision = None if last is None else self.decided.get(last.approval)
        if last is None or decision is None or decision.verdict != "approved":
            self.faults.append(f"{args} is begun and nobody agreed to it: {last}, {decision}")
            return
        agreed = self.content[decision.args or last.args]
        if not _same(agreed, args):
            self.faults.append(f"{args} is begun, and agreed to was {agreed}")
        self._by_the_right_people(last, decision, asks)
        self.judge_.used[last.approval].add(event.key)
        task = self.tasks.get(last.approval)
        if len(self.judge_.used[last.approval]) > 1 or (task is not None and task["key"] != event.key):
            self.judge_.count.reused += 1
            self.faults.append(f"approval {last.approval} is used for {self.judge_.used[last.approval]}")

    def _by_the_right_people(self, asked: ev.ApprovalAsked, decision: ev.ApprovalDecided, asks: str) -> None:
        people, task = self.judge_.people, self.tasks.get(asked.approval)
        if task is None:
            return  # which is found as a loss
        amount = self.content[asked.received or asked.args]["amount"]
        if asked.ask != self.judge_.terms[asked.policy].ask(amount) or not covers(decision.ask, asks):
            self.faults.append(f"{asked} is asked, {decision.ask} agreed, and {asks} has to")
        ann, editors = people.ann.principal, {edit.by for edit in decision.edits}
        voters = set(decision.voters or [decision.by])
        if voters != set(task["voters"]) or not voters <= self.votes.get((task["id"], decision.digest), set()):
            self.faults.append(f"{voters} decided by the journal, {task['voters']} by the task; votes: {self.votes}")
        if decision.ask == USER and voters != {ann}:
            self.faults.append(f"{voters} confirm for {ann}")
        # A third agrees only where one of the two was without the role when the other did, and got it back.
        enough = len(voters) == 2 or (
            len(voters) > 2 and any(people.was_ever_absent(voter, task["decided_at"]) for voter in voters)
        )
        if decision.ask == ADMINS and (not enough or voters & {ann, *editors}):
            self.faults.append(f"{voters} authorise, behind it are {ann}, {editors}")
        if decision.ask == ADMINS and any(people.was_absent(voter, task["decided_at"]) for voter in voters):
            self.faults.append(f"one of {voters} had lost the role by {task['decided_at']}")

    def _denied(self, event: ev.CallDenied) -> None:
        args = self.content[event.args]
        self.judge_.count.denied += 1
        if self.judge_.terms[event.policy].ask(args["amount"]) != DENY:
            self.faults.append(f"{args} is denied, and policy does not say so")

    # --- what is there in the end ------------------------------------------------------------------------------------

    def _every_task_is_accounted_for(self) -> None:
        questions = {asked.approval: asked for asked in self._questions()}
        doubts = {event.approval for event in self.events if isinstance(event, ev.EffectInDoubt)}
        missing = (questions.keys() | doubts) ^ self.tasks.keys()
        unheard = {
            task["id"]
            for task in self.tasks.values()
            if task["kind"] == "approval"
            and task["state"] not in ("pending", "void")
            and task["id"] not in self.decided
        }
        waiting = {
            task["id"] for task in self.tasks.values() if task["kind"] == "approval" and task["state"] == "pending"
        }
        if self.row["state"] == "cancelled":
            unheard = set()  # it stopped before it read them
        forgotten = set[UUID]()
        if self.row["state"] == "succeeded":
            void = {task["id"] for task in self.tasks.values() if task["state"] == "void"}
            forgotten = void | {asked.approval for asked in questions.values() if not self._came_to_something(asked)}
        lost = missing | unheard | waiting | forgotten
        self.judge_.count.lost += len(lost)
        if lost:
            self.faults.append(
                f"lost: rows or events {missing}, decisions unheard {unheard}, asked for ever {waiting}, "
                f"to nothing {forgotten}"
            )

    def _came_to_something(self, asked: ev.ApprovalAsked) -> bool:
        """Whether the decision on this question was acted on: by an effect, a denial, another question, a refusal."""
        decision = self.decided.get(asked.approval)
        if decision is None:
            return False
        later = self.asked[_place(asked)]
        if decision.verdict == "rejected" or asked is not later[-1]:
            return True
        return any(
            isinstance(event, ev.ToolFinished) and event.approved and _place(event) == _place(asked)
            for event in self.events
        )

    def _the_bank_agrees(self) -> None:
        announced = {key: len(events) for key, events in self.started.items()}
        for key, calls in _by_key(self.calls).items():
            if len(calls) > announced.get(key, 0):
                self.faults.append(f"{key} came {len(calls)} times, announced {announced.get(key, 0)} times")
            told = [self.content[started.args] for started in self.started[key]]
            if any({"order": call.order, "amount": call.amount} not in told for call in calls):
                self.faults.append(f"{key} came as {calls}, announced as {told}")
            if len(calls) > 1 and calls[0].tool in NO_KEYS:
                self.faults.append(f"{key} came {len(calls)} times, and the bank pays each time")
            self.judge_.count.retries += len(calls) - 1
        for order, times in Counter(payment.order for payment in self.payments).items():
            if times > 1:
                self.faults.append(f"{order} is paid {times} times")
        self.judge_.count.effects += len(self.payments)

    def _the_end(self) -> None:
        last = self.events[-1]
        done = {
            self.started[key][0].call: key
            for key in self.started
            if any(payment.key == key for payment in self.payments)
        }
        values = {
            event.call for event in self.events if isinstance(event, ev.ToolFinished) and event.outcome == "value"
        }
        if isinstance(last, ev.RunSucceeded):
            if done.keys() != values:
                self.faults.append(f"paid for {[*done]}, and the journal has results of {values}")
            told = self.content[last.output].split("; ")
            expected = Counter(paid(one.tool, one.order, one.amount) for one in self.payments)
            found = Counter(line for line in told if " of " in line and line.partition(" of ")[0] in _TOOLS)
            if found != expected:
                self.faults.append(f"the model heard of {found}, the bank has {expected}")
        elif isinstance(last, ev.RunFailed):
            if last.error != "ApprovalExpired" or self.run.plot.task != "strict":
                self.faults.append(f"it failed: {last.error} {self.content.get(last.message)} at {last.place}")
        elif not self.run.plot.is_cancelled:
            self.faults.append(f"it ended by {last}")
        elif unsaid := [key for call, key in done.items() if call not in values and not self._is_told(key)]:
            self.faults.append(f"paid, and neither an outcome nor a question says so: {unsaid}")

    def _is_told(self, key: str) -> bool:
        return any(isinstance(event, ev.EffectInDoubt) and event.key == key for event in self.events) or any(
            started.recovery.reruns for started in self.started[key]
        )

    def _questions(self) -> list[ev.ApprovalAsked]:
        return [asked for rounds in self.asked.values() for asked in rounds]

    def _payment(self, ref: str) -> Any:
        return self.run.payment(self.content[ref]["order"])


_TOOLS = frozenset({"refund", "wire", "transfer"})


def _refs(event: ev.AnyEvent) -> list[str]:
    match event:
        case ev.ApprovalAsked():
            return [ref for ref in (event.args, event.received) if ref is not None]
        case ev.ApprovalDecided(args=str() as ref):
            return [ref]
        case ev.ToolStarted() | ev.CallDenied():
            return [event.args]
        case ev.RunSucceeded():
            return [event.output]
        case ev.RunFailed():
            return [event.message]
        case _:
            return []


def _place(event: ev.ApprovalAsked | ev.ToolStarted | ev.ToolFinished) -> Place:
    return (event.scope, event.step, event.call)


def _same(agreed: dict[str, Any], received: dict[str, Any]) -> bool:
    # An amount is written as people write it, and received as a decimal.
    return agreed["order"] == received["order"] and Decimal(agreed["amount"]) == Decimal(received["amount"])


def _by_key(entries: list[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.key].append(entry)
    return found
