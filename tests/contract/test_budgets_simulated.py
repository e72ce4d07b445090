"""Budgets beside a model of them: whatever is set, reserved, settled, cut off, and whenever, both say the same."""

import os
from random import Random
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from contract.budget_model import Budget, Model, Run
from support.store_scene import TENANT, Member, append

STEPS = 60
MODELS = ("gpt", "small")


def row(what, step, attempt, feature, parts):
    """A row of `append`, from money, tokens and requests by model."""
    models = [
        {"model": name, "provider": "openai", "usd": part["usd"], "tokens": part["tokens"],
         "requests": part["requests"]} for name, part in parts.items()
    ]  # fmt: skip
    return {
        "what": what, "step": step, "attempt": attempt, "feature": feature, "models": models, "no_tokens": False,
        "no_usd": any(part["usd"] is None for part in parts.values()),
        **{unit: sum(part[unit] or 0 for part in parts.values()) for unit in ("usd", "tokens", "requests")},
    }  # fmt: skip


class Simulation:
    def __init__(self, scene, seed):
        self.scene, self.r, self.model = scene, Random(seed), Model()
        self.feature = self.r.choice(["", "search"])
        self.runs = [Run(held, name) for name in ("ann", "ben") for held in scene.hold(2, principal=name)]
        self.steps = 0
        self.said = dict[str, int]()

    def ask(self, sql, *values):
        return self.scene.call(self.scene.api, TENANT, sql, *values)[0]

    def since(self, per):
        return self.ask("select holdfast.window_start(%s, 'UTC', holdfast.now()) as at", per).at

    def parts(self, unknown):
        names = self.r.sample(MODELS, self.r.choice([1, 1, 2]))
        return {
            name: {"usd": None if self.r.random() < unknown else self.r.randrange(40),
                   "tokens": self.r.randrange(400), "requests": 1} for name in names
        }  # fmt: skip

    def set(self):
        scope = self.r.choice(["tenant", "user", "task", "feature", "model"])
        keys = {"tenant": [""], "user": ["*", "ann"], "task": ["*", "t"], "feature": ["search"], "model": ["*", "gpt"]}
        key, unit = self.r.choice(keys[scope]), self.r.choice(["usd", "usd", "tokens", "requests"])
        per = self.r.choice(["run", "hour", "day", "ever"])
        amount = {"usd": 150, "tokens": 1500, "requests": 8}[unit] * self.r.randrange(4) // 2
        made = self.ask(
            "select * from holdfast.set_budget(%s, %s, %s, %s, %s, %s, %s, 'me')",
            TENANT, uuid7(), scope, key, unit, per, amount,
        )  # fmt: skip
        self.model.budgets[scope, key, unit, per] = Budget(made.budget, scope, key, unit, per, amount)

    def end(self):
        if self.model.budgets:
            place = self.r.choice(list(self.model.budgets))
            budget = self.model.budgets.pop(place)
            self.ask("select holdfast.end_budget(%s, %s, 'me')", TENANT, budget.id)

    def later(self):
        self.scene.move_clock(self.r.choice([600, 3600, 40_000]))

    def batch(self):
        members, expected = list[Member](), list[str]()
        for run in self.r.sample(self.runs, self.r.randrange(1, len(self.runs) + 1)):
            settles = [
                (*key, self.parts(0.2)) for key in self.r.sample(list(run.open), self.r.randrange(len(run.open) + 1))
            ]
            reserves = list[tuple[str, int, Any]]()
            for _ in range(self.r.randrange(3)):
                reserves.append(self.reserve(run, settles, {step for step, _, _ in reserves}))
            lines = [
                (step, attempt, self.model.lines(run, self.feature, parts, self.since))
                for step, attempt, parts in reserves
            ]
            rows = [row("settle", step, attempt, self.feature, parts) for step, attempt, parts in settles]
            rows += [row("reserve", step, attempt, self.feature, parts) for step, attempt, parts in reserves]
            members.append(Member(run.held, intent=bool(reserves), budgets=rows))
            expected.append(self.model.member(run, settles, lines))
        # The run's stale mark comes from whoever raised a budget: its holder looks again, and asks again.
        self.scene.admin.execute("update holdfast.runs set stale = false")
        said = [answer.outcome for answer in append(self.scene.worker, *members)]
        # What has no price may have no room either: which of the two is found first says nothing.
        known = ["unpriced" if (one, found) == ("unpriced", "over_budget") else found
                 for one, found in zip(expected, said, strict=True)]  # fmt: skip
        assert known == expected
        for one in said:
            self.said[one] = self.said.get(one, 0) + 1

    def reserve(self, run, settles, taken):
        over = [(step, attempt) for step, attempt, _ in settles]
        left = [key for key in run.open if key not in over and key[0] not in taken]
        if left and self.r.random() < 0.2:
            step = self.r.choice(left)[0]
            return step, max(attempt for name, attempt in run.open if name == step) + 1, self.parts(0)
        self.steps += 1
        return f"#{self.steps}", 1, self.parts(0.03)

    def check(self):
        found = {
            (budget, owner, since): (spent, held, overran)
            for budget, owner, since, spent, held, overran in self.scene.admin.execute(
                "select budget, owner, since, spent, held, overran from holdfast.budget_windows"
                " where spent <> 0 or held <> 0"
            ).fetchall()
        }
        expected = {
            key: (window.spent, window.held, window.overran)
            for key, window in self.model.windows.items()
            if window.spent or window.held
        }
        assert found == expected


def simulate(scene, seed):
    simulation = Simulation(scene, seed)
    for _ in range(3):
        simulation.set()
    for _ in range(STEPS):
        act = simulation.r.choices(
            [simulation.batch, simulation.set, simulation.end, simulation.later], [12, 2, 1, 1]
        )[0]  # fmt: skip
        act()
        simulation.check()
    return simulation.said


@pytest.mark.parametrize("seed", range(4))
def test_budgets_do_what_the_model_says(scene, seed):
    said = simulate(scene, seed)
    assert said["appended"] > 20, said
    assert said["over_budget"] > 2, said


@pytest.mark.long
def test_budgets_do_what_the_model_says_for_long(scene):
    seeds = int(os.environ.get("HOLDFAST_BUDGET_SEEDS", "300"))
    said = dict[str, int]()
    for seed in range(1000, 1000 + seeds):
        with scene.database.as_owner() as owner:
            owner.execute("update holdfast.clock set skew = '0'")
        scene.admin.execute(
            "truncate holdfast.budgets, holdfast.budget_windows, holdfast.reservations, holdfast.overruns,"
            " holdfast.budget_alerts, holdfast.runs, holdfast.events"
        )
        for name, count in simulate(scene, seed).items():
            said[name] = said.get(name, 0) + count
    print(f"{seeds} seeds: {said}")
