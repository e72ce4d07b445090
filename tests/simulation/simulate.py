"""Runs one seed against the database, and makes a failing one as short as it will go."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from simulation import expected
from simulation.database import Store
from simulation.model import Answer, Model
from simulation.plan import Call, Op, Plan, operations

OPS = 35


@dataclass(frozen=True)
class Outcome:
    """What a seed did: the digest of its trace, or where database and model part."""

    digest: str
    seen: Counter[str]
    """How often each verb gave each kind of answer."""
    divergence: str = ""


class Divergence(Exception):
    """The database did what the model did not."""


def run_seed(store: Store, seed: int, ops: Iterable[Op] | None = None) -> Outcome:
    """Run the operations of a seed, or those given, on empty tables."""
    model = Model()
    plan = Plan(seed, model)
    store.begin(plan.tenants)
    trace, seen = hashlib.sha256(), Counter[str]()
    for op in operations(seed, OPS) if ops is None else ops:
        call = plan.call(op)
        if call is None:
            continue
        try:
            answer = _step(store, plan, call)
        except Divergence as divergence:
            return Outcome(trace.hexdigest(), seen, f"{op}\n{call}\n{divergence}")
        plan.learn(op, call, answer)
        seen.update(_kinds(call, answer))
        # A renewal answers in no order that is promised.
        said = sorted(answer, key=repr) if call.verb == "renew_lease" else answer
        trace.update(f"{call}\n{said}\n".encode())
    return Outcome(trace.hexdigest(), seen)


def _kinds(call: Call, answer: Answer) -> list[str]:  # noqa: PLR0911 - one for each kind of answer
    match call.verb:
        case "append":
            return [f"append {row[1]}" for row in answer]
        case "tick":
            names = ("rescued", "quarantined", "woken", "parked", "unparked", "rewound", "halts_due")
            return [f"tick {name}" for name, count in zip(names, answer[0], strict=True) if count]
        case "renew_lease":
            return [f"renew {row[1] or row[0]}" for row in answer]
        case "declare_halt":
            return [f"declare_halt {answer[0][1]}"]
        case "claim_runs" | "release_runs" | "leave" | "expire_halts":
            return [f"{call.verb} {'some' if answer and answer[0][0] else 'none'}"]
        case "register_worker" | "renew_rights" | "pass_time" | "fail_over":
            return [call.verb]
        case _:
            return [f"{call.verb} {answer[0][0]}"]


def _step(store: Store, plan: Plan, call: Call) -> Answer:
    try:
        answer = store.answer(call)
    except psycopg.Error as error:
        raise Divergence(f"the database raised {error!r}") from error
    predicted = _predict(plan.model, call)
    if sorted(answer, key=repr) != sorted(predicted, key=repr):
        raise Divergence(f"predicted {predicted}\nanswered  {answer}")
    if call.verb == "claim_runs" and [row[1] for row in answer] != [row[1] for row in predicted]:
        raise Divergence(f"claimed in another order: predicted {predicted}\nanswered  {answer}")
    names = ("runs", "queue", "events", "signals", "approvals", "blobs", "halts", "sessions", "keys", "workers")
    for name, want, found in zip(names, expected.rows(plan.model), store.rows(plan.tenants), strict=True):
        if want != found:
            raise Divergence(f"{name}: {_difference(want, found)}")
    return answer


def _predict(model: Model, call: Call) -> Answer:
    model.beat += 1
    if call.verb == "pass_time":
        model.now += call.args["by"]
        return []
    if call.verb == "fail_over":
        model.failed_over = True
        return []
    args: dict[str, Any] = dict(call.args)
    args.pop("body", None)
    if call.verb in {"append", "claim_runs", "tick"}:
        args["locked"] = call.locked and call.locked.id
    return getattr(model, call.verb)(**args)


def _difference(want: Any, found: Any) -> str:
    if isinstance(want, dict) and isinstance(found, dict):
        keys = [key for key in {**want, **found} if want.get(key) != found.get(key)]
        return "\n".join(f"{key}\n  predicted {want.get(key)}\n  found     {found.get(key)}" for key in keys)
    return f"\n  predicted {want}\n  found     {found}"


def shrink(store: Store, seed: int) -> tuple[list[Op], Outcome]:
    """The shortest list of operations found that still diverges: leave out ever smaller pieces while it does."""
    ops = operations(seed, OPS)
    outcome = run_seed(store, seed, ops)
    size = len(ops) // 2
    while size:
        at = 0
        while at < len(ops):
            fewer = ops[:at] + ops[at + size :]
            tried = run_seed(store, seed, fewer)
            if tried.divergence:
                ops, outcome = fewer, tried
            else:
                at += size
        size //= 2
    return ops, outcome


def report(store: Store, seed: int) -> str:
    """What to print of a seed that failed."""
    ops, outcome = shrink(store, seed)
    steps = "\n".join(f"  {op}" for op in ops)
    return f"seed {seed}, in {len(ops)} operations:\n{steps}\n{outcome.divergence}"
