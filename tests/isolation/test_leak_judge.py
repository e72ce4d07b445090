"""The judge of the campaign watches itself fail: answers that leak, each in one way, and each is refused."""

from random import Random
from types import SimpleNamespace
from uuid import uuid4

import pytest
from leak_campaign import Campaign, Leak
from leak_model import Key, Person
from leak_wire import Answer, Sent
from leak_world import Plan, World


@pytest.fixture
def world():
    made = World({"a": str(uuid4()), "b": str(uuid4()), "p": str(uuid4())})
    made.people = [Person("a", str(uuid4()), "Ann", {"user"}), Person("a", str(uuid4()), "Ben", {"user"})]
    made.people.append(Person("b", str(uuid4()), "Ann", {"admin"}))
    return made


@pytest.fixture
def campaign(world):
    return Campaign(SimpleNamespace(world=world), 0, "", Random(0))


def plan(world, expected=200, **more):
    return Plan("r", Key(world.people[0], "k"), Sent("GET", "/"), expected, reach="own", **more)


def answer(body=b"{}", status=200, headers=()):
    return Answer(status, tuple(headers), body)


LEAKS = {
    "another tenant's text": lambda w: answer(b'{"x": "TAINTB-ann-input"}'),
    "in a header": lambda w: answer(headers=[(b"location", b"TAINTB")]),
    "another tenant's id": lambda w: answer(w.tenants["b"].encode()),
    "the same without hyphens": lambda w: answer(b"hf_" + w.tenants["b"].replace("-", "").encode()),
    "another principal's text": lambda w: answer(b'{"x": "TAINTA-ben-input"}'),
    "another tenant's run": lambda w: answer(w.add("run", str(uuid4()), "b", w.people[2]).id.encode()),
    "another principal's run": lambda w: answer(w.add("run", str(uuid4()), "a", w.people[1]).id.encode()),
    "a refusal that was not expected": lambda w: answer(status=404),
    "a fault": lambda w: answer(status=500),
}


@pytest.mark.parametrize("what", LEAKS)
def test_what_leaks_is_refused(campaign, world, what):
    with pytest.raises(Leak):
        campaign.judge(plan(world), LEAKS[what](world))


def test_what_is_ones_own_or_was_said_is_not(campaign, world):
    own = world.add("run", str(uuid4()), "a", world.people[0])
    foreign = world.add("run", str(uuid4()), "b", world.people[2])
    campaign.judge(plan(world), answer(f"TAINTA-ann-input {own.id} {uuid4()}".encode()))
    campaign.judge(plan(world, 404, said=(foreign.id,)), answer(foreign.id.encode(), 404))


def test_what_was_said_takes_nothing_else_from_sight(campaign, world):
    foreign = world.add("run", str(uuid4()), "b", world.people[2])
    for said in ("0123456789abcdef-", str(uuid4()), *foreign.id):
        with pytest.raises(Leak):
            campaign.judge(plan(world, said=(said,)), answer(foreign.id.encode()))


def test_who_is_let_in_though_it_should_be_refused_is_a_leak(campaign, world):
    for expected in (401, 403, 404):
        with pytest.raises(Leak):
            campaign.judge(plan(world, expected), answer())


def test_two_refusals_that_differ_are_a_leak(campaign, world):
    campaign.judge(plan(world, 401), answer(b'{"detail":"no","instance":"/a"}', 401))
    campaign.judge(plan(world, 401), answer(b'{"detail":"no","instance":"/b"}', 401))
    with pytest.raises(Leak):
        campaign.judge(plan(world, 401), answer(b'{"detail":"revoked","instance":"/b"}', 401))


@pytest.mark.parametrize("body", [b"no such run 1", b"no such run 22", b"not yours 22"])
def test_another_answer_than_to_an_absent_id_is_a_leak(campaign, world, body):
    given = plan(world, 404, ids=("22", "11"))
    if body == b"no such run 22":
        campaign.compare(given, answer(body, 404), answer(b"no such run 11", 404))
        return
    with pytest.raises(Leak):
        campaign.compare(given, answer(body, 404), answer(b"no such run 11", 404))


async def test_a_route_without_requests_is_named(campaign):
    with pytest.raises(AssertionError, match=r"leak_routes\.py makes no requests: POST /v1/new"):
        await campaign.run(1, ["GET /v1/me", "POST /v1/new"])
