"""What a provider said of somebody grows old: their runs wait for them to sign in again, and then go on exactly."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic_ai import RunContext

from engine.agents import agent
from engine.lab import WHO
from holdfast import RunScope, effect
from holdfast.domain import events as ev
from holdfast.domain.errors import UserError
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.principal import PrincipalKind, Who
from holdfast.domain.rights import Role
from holdfast.domain.state import WaitingOn
from holdfast.identity.claims import Claims
from holdfast.service.get_run import get_run
from holdfast.service.tenant_limits import set_tenant_limits
from holdfast.store import identities

HOUR_S = 3600


class Times:
    """The database's clock and this machine's, which a test moves together."""

    def __init__(self, database: Any) -> None:
        self._url, self.passed_s = database.admin_url, 0.0
        self.began = datetime.now(UTC)

    def monotonic(self) -> float:
        return self.passed_s

    def pass_by(self, hours: float) -> None:
        self.passed_s += hours * HOUR_S
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("update holdfast.clock set skew = make_interval(secs => %s)", [self.passed_s])


class Provider:
    """Says who Ann is, whenever she signs in."""

    def __init__(self, lab: Any, times: Times) -> None:
        self._lab, self._times = lab, times

    async def sign_in(self, *roles: Role, ago_h: float = 0) -> Who:
        at = self._times.began + timedelta(seconds=self._times.passed_s) - timedelta(hours=ago_h)
        said = Claims(
            issuer="issuer", subject="ann", tenant="default", name="Ann", email=None, kind=PrincipalKind.PERSON,
            roles=frozenset(roles or [Role.USER]), issued_at=at, expires_at=at, auth_time=None,
        )  # fmt: skip
        assert await identities.log_in(self._lab.api_db, DEFAULT_TENANT, uuid4(), said, said.roles)
        found = await identities.find_identity(self._lab.api_db, "default", "issuer", "ann")
        assert isinstance(found, identities.Identity)
        return Who.of(found.owner())


@pytest.fixture
def times(database):
    return Times(database)


@pytest.fixture
def make(make_lab, times):
    async def made(given: Any, **options: Any) -> tuple[Any, Provider]:
        lab = await make_lab(given, **options)
        lab.monotonic = times.monotonic
        return lab, Provider(lab, times)

    return made


def waits(lab: Any) -> tuple[str, str | None]:
    row = lab.row()
    return row["state"], row["waiting_on"]


def asked(lab: Any) -> list[str]:
    """The named queries that the next workers send in a tenant's scope."""
    sent: list[str] = []
    fetch = lab.worker_db.fetch

    async def noting(tenant: Any, name: str, *more: Any) -> Any:
        sent.append(name)
        return await fetch(tenant, name, *more)

    lab.worker_db.fetch = noting
    return sent


async def test_a_run_of_somebody_long_not_seen_asks_nothing_until_they_sign_in(make, times):
    lab, provider = await make(agent("done"))
    await lab.start(who=await provider.sign_in())
    times.pass_by(hours=24.5)
    await lab.work()
    assert waits(lab) == ("parked", "login")
    assert await lab.of(ev.ModelRequested) == []
    [parked] = await lab.of(ev.RunParked)
    assert parked.waiting_on is WaitingOn.LOGIN
    assert "sign in again" in parked.why
    assert "24 h" in parked.why
    view = await get_run(lab.services, WHO, lab.run)
    assert (view.waiting_on, view.why) == (WaitingOn.LOGIN, parked.why)
    await provider.sign_in(ago_h=24.5)
    assert waits(lab) == ("parked", "login"), "no newer than what was known"
    await provider.sign_in()
    assert waits(lab) == ("queued", None)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_grown_old_in_the_middle_of_a_tool_it_stops_before_the_next_and_goes_on_exactly(make, times):
    done: list[str] = []
    made = agent([("act", {"what": "one"}, "a")], [("act", {"what": "two"}, "b")], "done")

    @made.tool_plain
    @effect.once
    async def act(what: str) -> str:
        done.append(what)
        if what == "one":
            times.pass_by(hours=2)
        return what

    lab, provider = await make(made, claims_max_age_s=HOUR_S)
    await lab.start(who=await provider.sign_in())
    await lab.work()
    assert (waits(lab), done) == (("parked", "login"), ["one"])
    before = await lab.events()
    await provider.sign_in()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert done == ["one", "two"], "the outcome of the first was kept, and it is not repeated"
    assert (await lab.events())[: len(before)] == before


async def test_who_signed_in_meanwhile_is_not_kept_waiting(make, times):
    seen: list[set[str]] = []
    provider: Any = None
    made = agent([("look", {}, "a")], [("look", {}, "b")], "done", deps_type=RunScope)

    @made.tool
    @effect.pure
    async def look(ctx: RunContext[RunScope]) -> str:
        seen.append({role.value for role in ctx.deps.principal.roles})
        if len(seen) == 1:
            times.pass_by(hours=23)
            await provider.sign_in(Role.USER, Role.APPROVER)
            times.pass_by(hours=2)
        return "seen"

    lab, provider = await make(made, deps=lambda scope: scope)
    await lab.start(who=await provider.sign_in())
    assert await lab.work() == "finished"
    assert seen == [{"user"}, {"user", "approver"}]
    assert await lab.of(ev.RunParked) == []


async def test_it_costs_no_look_until_somebody_signs_in_anew(make, times):
    provider: Any = None
    made = agent([("act", {"n": 1}, "a")], [("act", {"n": 2}, "b")], [("act", {"n": 3}, "c")], "done")
    looks: list[int] = []

    @made.tool_plain
    @effect.pure
    async def act(n: int) -> str:
        looks.append(sent.count("renew_rights"))
        if n == 2:
            times.pass_by(hours=1)
            await provider.sign_in()
        return "acted"

    lab, provider = await make(made)
    sent = asked(lab)
    await lab.start(who=await provider.sign_in())
    assert await lab.work() == "finished"
    assert looks == [0, 0, 1]
    assert sent.count("renew_rights") == 1


@pytest.mark.parametrize("most_s", [None, 48 * HOUR_S])
async def test_a_task_says_how_old_it_may_be(make, times, most_s):
    lab, provider = await make(agent("done"), claims_max_age_s=most_s)
    await lab.start(who=await provider.sign_in())
    times.pass_by(hours=47)
    assert await lab.work() == "finished"


async def test_who_came_by_no_provider_has_nothing_that_grows_old(make, times):
    lab, _ = await make(agent("done"))
    await lab.start()
    times.pass_by(hours=10_000)
    assert await lab.work() == "finished"


async def test_a_limit_that_is_none_is_refused_at_registration(make):
    for limit in (0, -1.0, float("nan")):
        with pytest.raises(UserError, match="claims_max_age_s"):
            await make(agent("done"), claims_max_age_s=limit)


async def test_limits_of_the_tenant_that_are_read_with_a_sign_in_bind_the_first_step(make, times):
    lab, provider = await make(agent("done"))
    await lab.start(who=await provider.sign_in())
    times.pass_by(hours=25)
    async with lab.worker() as execution:
        await set_tenant_limits(lab.services, WHO, {"model_requests": 0})
        await provider.sign_in()
        assert await execution.run() == "parked"
    assert lab.row()["waiting_on"] == "limit"
    assert await lab.of(ev.ModelRequested) == []
