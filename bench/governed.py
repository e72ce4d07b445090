"""CPU of the governed step: the same durable runs without a policy, and with one that looks at the arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cpu import Turns
from bench.meter import spent
from bench.place import Place, queue_runs, work_off
from bench.row import Row
from bench.workload import TOOLS, chain_agent
from holdfast.app import App

if TYPE_CHECKING:
    from holdfast.engine.gear import Gear
    from holdfast.guards.policy import Policy
    from holdfast.service.services import Services

BAR = 1.10
TURNS = 6
WARM_UP = 8
POLICIES = {
    "policy": """
permit (principal, action in Action::"reads", resource);
permit (principal, action in Action::"writes", resource);
@ask("user") forbid (principal, action == Action::"look_up", resource) when { context.args.item > 1000 };
@ask("two admins") forbid (principal, action == Action::"look_up", resource) when { context.args.item > 10000 };
forbid (principal, action == Action::"look_up", resource) unless { context.args.item >= 0 };
forbid (principal, action == Action::"look_up", resource)
when { context.run.env == Env::"staging" && (context.run.local_hour >= 22 || context.run.local_hour < 6) };
""",
}
POLICIES["policy with labels"] = (
    POLICIES["policy"]
    + """
@ask("user") forbid (principal, action == Action::"look_up", resource)
when { context.args.item > 100 && context.labels.item.contains(Label::"untrusted") };
"""
)


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """The ratio at 64 runs at once, and at one."""
    app = App("bench")
    app.task("chain", agent=chain_agent(), stream=False)
    ways = {"none": None, **{name: _policy(place, name, text) for name, text in POLICIES.items()}}
    many, one = Turns(64, 4 if quick else 64), Turns(1, 2 if quick else 16)
    async with place.services(app) as services, place.gear() as gear:
        await _turn(place, app, services, gear, ways, Turns(WARM_UP, WARM_UP))
        _each_was_asked(place, ways)
        for nth in range(1 if quick else TURNS):
            place.clear()
            order = list(ways.items())
            order = order[nth % len(order) :] + order[: nth % len(order)]  # each is first as often as last
            for turns in (many, one):
                await _turn(place, app, services, gear, dict(order), turns)
    return [_row(many, "64 at once"), _row(one, "1 at a time")]


def _policy(place: Place, name: str, text: str) -> Policy:
    """From a file, as an app has it."""
    path = place.data_dir / f"{name}.cedar"
    path.write_text(text)
    app = App("bench", policy=path)
    app.task("chain", agent=chain_agent(), stream=False)
    found = app.load_policy()
    assert found is not None
    return found


async def _turn(
    place: Place, app: App, services: Services, gear: Gear, ways: dict[str, Policy | None], turns: Turns
) -> None:
    for way, policy in ways.items():
        gear.governor.policy = policy
        runs = await queue_runs(services, "chain", turns.runs)
        settings = place.settings(slots=turns.at_once)
        cost = await spent(lambda runs=runs, settings=settings: work_off(app, gear, settings, runs), place.server_dir)
        turns.add(way, cost)


def _each_was_asked(place: Place, ways: dict[str, Policy | None]) -> None:
    """By the journal, each call of the warm-up was let pass by the policy that was to be asked."""
    for policy in filter(None, ways.values()):
        [(count,)] = place.execute(
            "select count(*) from holdfast.events where type = 'tool_started' and position(%s in body::text) > 0",
            policy.digest,
        )
        assert count == WARM_UP * TOOLS, count


def _row(turns: Turns, how: str) -> Row:
    return Row(
        name=f"CPU of a durable run with policy ÷ without, {how}",
        measured=turns.ratio("policy", "none"),
        bar=BAR,
        note=f"without {turns.cpu_ms('none'):.1f} ms, with {turns.cpu_ms('policy'):.1f} ms; "
        f"one that looks at labels {turns.ratio('policy with labels', 'none'):.2f}",
        details={
            way: {"cpu_ms": round(turns.cpu_ms(way), 2), "server_cpu_ms": round(turns.server_ms(way), 2)}
            for way in turns.spent
        },
    )
