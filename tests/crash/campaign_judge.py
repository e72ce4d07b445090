"""What is checked at the end of the budget campaign, of every run, window, reservation and overrun.

Three books are held against each other: the journals, the database's windows and ledger, and what the provider itself
knows that it answered.
"""

import itertools
import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

from campaign_app import PRICES
from campaign_books import Books, Step, Whose, steps_of
from campaign_model import FRACTION, Said
from crash_scene import Scene
from judging import broken

from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.stored import load
from holdfast.engine.toolcost import CUT_OFF
from holdfast.service.check_costs import check_costs
from holdfast.service.reconcile_budgets import reconcile_budgets
from holdfast.service.services import LOCAL
from holdfast.store.hashing import StoredEvent
from holdfast.testing import Usage

AT_A_TIME = 200
MAY_FAIL = {
    "BudgetSpent", "ModelAPIError", "ModelConnectionError", "ModelRateLimitError", "ModelServerError",
    "ModelUnavailableError", "UnexpectedModelBehavior", "ValidationError",
}  # fmt: skip
"""Of what runs fail here: a budget, and what their provider answers."""
Answers = Mapping[str, list[tuple[Said, str]]]
_PRICES = {table["model"]: table for table in tomllib.loads(PRICES)["prices"]}
JOURNALS = """
select run, seq, type, at, convert_to(body, 'UTF8'), hash from holdfast.events where run = any(%s) order by run, seq
"""


class Judge:
    """Reads everything once more."""

    def __init__(self, scene: Scene, runs: Mapping[UUID, tuple[str, Whose]], answers: Answers) -> None:
        self._scene, self._runs, self._answers = scene, runs, answers
        budgets = scene.connection.dicts("select * from holdfast.budgets")
        self._names = {one["id"]: f"{one['scope']}:{one['key']}/{one['unit']}/{one['per']}" for one in budgets}
        self._books = Books(budgets)
        self.told = Counter[str]()
        self.wrong: list[str] = []

    async def judge(self) -> None:
        """Everything."""
        self.told["runs"] = len(self._runs)
        self._judge_runs()
        self._judge_windows()
        self._judge_reservations()
        self._judge_overruns()
        await self._judge_by_the_product()

    # --- run by run --------------------------------------------------------------------------------------------

    def _judge_runs(self) -> None:
        for run, row, journal in self._journals():
            tag, whose = self._runs[run]
            self.wrong += [f"{tag} {run}: {fault}" for fault in broken(row, journal)]
            events = [load(stored.type, stored.body) for stored in journal]
            self._count(row, events)
            steps = steps_of(run, events)
            for step in steps:
                self._books.add(whose, step)
            self._judge_requests(tag, [step for step in steps if step.model])

    def _journals(self) -> Iterator[tuple[UUID, dict[str, Any], list[StoredEvent]]]:
        ids, connection = iter(self._runs), self._scene.connection
        while chunk := list(itertools.islice(ids, AT_A_TIME)):
            rows = {
                row["id"]: row for row in connection.dicts("select * from holdfast.runs where id = any(%s)", [chunk])
            }
            for run, events in itertools.groupby(connection.execute(JOURNALS, [chunk]), key=lambda row: row[0]):
                yield run, rows[run], [StoredEvent(DEFAULT_TENANT, *event) for event in events]

    def _count(self, row: Mapping[str, Any], events: list[ev.AnyEvent]) -> None:
        self.told[f"runs {row['state']}"] += 1
        for event in events:
            match event:
                case ev.RunParked():
                    self.told[f"parks: {event.waiting_on}"] += 1
                    if event.budget:
                        self.told[f"refused by {self._names[UUID(event.budget)]}"] += 1
                case ev.RunFailed():
                    self.told[f"failed: {event.error}"] += 1
                    if event.error not in MAY_FAIL:
                        self.wrong.append(f"{row['id']} failed of {event.error} at {event.place}")
                case ev.ModelFailed(error="AnswerCut"):
                    self.told["answers that a budget cut"] += 1
                case ev.ModelRequested():
                    self.told["requests announced"] += 1
                case ev.ToolFinished(cost=ev.Cost(unpriced=[*what])) if set(what) - {CUT_OFF}:
                    self.wrong.append(f"{row['id']}: '{event.tool}' ({event.call}) asked no models, and cost {what}")
                case _:
                    pass

    def _judge_requests(self, tag: str, steps: list[Step]) -> None:
        """Each against what the provider knows of it: an answer explains one step, and no request went unannounced."""
        announced = Counter(_conversation(tag, step) for step in steps)
        answers = {of: [*self._answers.get(of, ())] for of in announced}
        for of, times in announced.items():
            self.told["requests that arrived"] += len(answers[of])
            if len(answers[of]) > times:
                self.wrong.append(f"{of}: {len(answers[of])} requests arrived, {times} were announced: {answers[of]}")
        told = dict[str, str]()
        for step in steps:
            of = _conversation(tag, step)
            said = answers[of]
            if step.fact is None:
                continue
            explaining = next((one for one in said if _agrees(step, *one)), None)
            if explaining is None:
                self.wrong.append(f"{step} is not what the provider said: {said}")
                continue
            said.remove(explaining)
            if not _may_overrun(explaining[0].lie, told.get(of, "")) and step.settled("tokens") > step.bound["tokens"]:
                self.wrong.append(f"{step} overran, and its provider lied about nothing: {explaining}")
            if isinstance(step.fact, ev.ModelResponded):
                told[of] = explaining[0].lie

    # --- budget by budget --------------------------------------------------------------------------------------

    def _judge_windows(self) -> None:
        rows = self._scene.connection.execute(
            "select budget, owner, sum(spent)::bigint, sum(held)::bigint, sum(overran)::bigint, sum(overruns)::bigint"
            " from holdfast.budget_windows group by budget, owner"
        )
        counts = Counter((budget, owner) for _, _, _, budget, owner in self._books.overruns)
        for budget, owner, *stands in rows:
            place = (budget, owner)
            due = [self._books.spent.pop(place, 0), 0, self._books.overran[place], counts[place]]
            if stands != due:
                what = f"{self._names[budget]} of '{owner}'"
                self.wrong.append(f"{what}: spent, held, overran, overruns are {stands}, and have to be {due}")
        self.wrong += [f"no window: {self._names[place[0]]} {place[1]}" for place in self._books.spent]
        self.told["windows"] = len(rows)

    def _judge_reservations(self) -> None:
        rows = self._scene.connection.execute(
            "select run, step, attempt, estimated, budgets, amounts from holdfast.reservations"
        )
        for run, step, attempt, estimated, budgets, amounts in rows:
            due = self._books.estimated.pop((run, step, attempt), None)
            if not estimated:
                self.wrong.append(f"leaked: {run} {step} {attempt} is still reserved")
            elif due != dict(zip(budgets, amounts, strict=True)):
                self.wrong.append(f"{run} {step} {attempt} is estimated at {amounts}, and has to be {due}")
        self.wrong += [f"{place} has to be estimated at {due}" for place, due in self._books.estimated.items()]
        self.told["estimated"] = len(rows)

    def _judge_overruns(self) -> None:
        rows = self._scene.connection.execute(
            "select run, step, attempt, budget, owner, reserved, used from holdfast.overruns"
        )
        for *place, reserved, used in rows:
            due = self._books.overruns.pop(tuple(place), None)
            if due != (reserved, used):
                self.wrong.append(f"overrun {place}: {reserved} {used}, and has to be {due}")
        self.wrong += [f"no overrun of {place}: {due}" for place, due in self._books.overruns.items()]
        self.told["overruns (rows)"] = len(rows)
        self.told["overruns (steps)"] = len({tuple(row[:3]) for row in rows})

    async def _judge_by_the_product(self) -> None:
        ledger = await check_costs(self._scene.services, LOCAL)
        self.wrong += [f"the ledger differs: {one}" for one in ledger.wrong]
        if ledger.under_way or ledger.runs != len(self._runs):
            self.wrong.append(f"{ledger.runs} runs were compared and {ledger.under_way} not, of {len(self._runs)}")
        drift = await reconcile_budgets(self._scene.services, LOCAL)
        self.wrong += [f"held is not what is reserved: {one}" for one in drift.wrong]


def _conversation(tag: str, step: Step) -> str:
    """Branches are calls that are named as the conversations are which they hold: `1:seed.run.branch>agent#1/`."""
    return step.scope.partition(":")[2].partition(">")[0] if step.scope else tag


def _may_overrun(lie: str, before: str) -> bool:
    """Whether an answer may have used more than its bound: it lies, or what it is bounded by was told too small."""
    return lie in {"more", "longer"} or before in {"less", "fraction"}


def _agrees(step: Step, said: Said, outcome: str) -> bool:
    """Whether this answer is one after which the step may be settled as it is."""
    assert step.used is not None
    if said.model != step.model:
        return False
    match step.fact:
        case ev.ModelFailed(status=int() as status):
            return said.fault in {"busy", "broken"} and (status == 429) == (said.fault == "busy")
        case ev.ModelFailed(usage=None):
            return outcome != "sent" or said.fault == "garbage" or said.lie in {"nonsense", "fraction"}
        case _:
            if outcome != "sent" or said.fault not in {"none", "garbage"}:
                return False
            if said.lie == "fraction" and said.fault == "none":
                return step.used["tokens"] == math.ceil(FRACTION["total_tokens"])
            usage = None if said.fault == "garbage" else said.usage  # read as an answer of nothing, by a stream
            tokens = None if usage is None else usage.input_tokens + usage.output_tokens
            return (step.used["tokens"], step.used["usd"]) == (tokens, _cost(said.model, usage))


def _cost(model: str, usage: Usage | None) -> int | None:
    if usage is None:
        return None
    price = _PRICES[model]
    cached, written = (
        count if kind in price else 0
        for kind, count in (("cache_read", usage.cached_tokens), ("cache_write", usage.cache_write_tokens))
    )
    of = {"input": usage.input_tokens - cached - written, "output": usage.output_tokens}
    if of["input"] < 0:
        return None
    of |= {kind: count for kind, count in (("cache_read", cached), ("cache_write", written)) if count}
    micros = sum(Decimal(str(price[kind])) * count for kind, count in of.items())
    return int(micros.to_integral_value(ROUND_HALF_EVEN))
