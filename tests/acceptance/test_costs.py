"""What runs cost, seen from outside: a provider over real HTTP, `holdfast cost`, and the interface with its scopes."""

import csv
import io
import json
from decimal import Decimal

import pytest

from holdfast.testing import ModelServer, Route, Script, Usage, call, fault, say
from holdfast.testing.model_server.turn import Turn
from support.cli import Cli
from support.talk import Talk, problem, talking

APP = """
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
import holdfast
from holdfast import App, effect

app = App("costly")
for name, model in (("ask", "gpt-5"), ("own", "our-llama"), ("lie", "gpt-5-mini"), ("cut", "gpt-5-nano")):
    agent = Agent(OpenAIChatModel(model), name=name)

    @agent.tool_plain
    @holdfast.costs("0.02")
    @effect.pure
    def look() -> str:
        return "seen"

    app.task(name, agent=agent)
"""
PRICES = '[[prices]]\nmodel = "our-*"\ninput = 1\noutput = 2\n'
BIG = Usage(input_tokens=1_000_000, output_tokens=100_000, cached_tokens=500_000)
LIE = Usage(input_tokens=10, output_tokens=5, cached_tokens=500)


def script(usage: Usage) -> Script:
    return Script([Turn(tool_calls=(call("look"),), usage=usage), say("done", usage=usage)])


@pytest.fixture
def provider():
    routes = [
        Route(model="gpt-5", script=script(BIG)),
        Route(model="our-llama", script=script(Usage(input_tokens=1000, output_tokens=500))),
        Route(model="gpt-5-mini", script=script(LIE)),
        Route(model="gpt-5-nano", script=Script([fault(cut_after=1, times=None), say("one two three")])),
    ]
    with ModelServer(routes) as server:
        yield server


@pytest.fixture
def cli(database, tmp_path, provider):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "holdfast.toml").write_text(PRICES)
    return Cli(tmp_path, database, OPENAI_BASE_URL=provider.url, OPENAI_API_KEY="none")


def test_a_bill_is_read_from_the_command_line(cli, provider):
    for task in ("ask", "own", "ask"):
        ended = cli("run", "app.py:app", task, "hi")
        assert ended.code == 0, ended.err
    view = cli("cost", "--by", "model,tool", "--json").json()
    found = {row["key"]["model"] or row["key"]["tool"]: row for row in view["items"]}
    # gpt-5: $1.25 a million, cached $0.125, output $10.
    each = Decimal("1.25") / 2 + Decimal("0.125") / 2 + 1
    assert Decimal(found["gpt-5"]["cost_usd"]) == 4 * each
    assert Decimal(found["our-llama"]["cost_usd"]) == 2 * Decimal("0.002")
    assert Decimal(found["look"]["cost_usd"]) == Decimal("0.06")
    assert found["gpt-5"]["cache_read_tokens"] == 2_000_000
    assert view["total"]["at_least"] is False
    assert view["total"]["model_requests"] == len(provider.requests), "as many as the provider counted"

    table = cli("cost", "--since", "7d").out
    assert "gpt-5" in table
    assert f"${4 * each:.2f}" in table
    rows = list(csv.DictReader(io.StringIO(cli("cost", "--by", "task,user", "--csv").out)))
    assert [(row["task"], row["user_name"]) for row in rows] == [("ask", "local"), ("own", "local")]
    story = cli("runs", "show", "last").out
    assert f"${each.normalize():f}" in story
    assert f"models ${(2 * each).normalize():f}, tools $0.02" in story
    checked = cli("cost", "--check")
    assert (checked.code, "3 runs compared: the ledger is what journals say" in checked.out) == (0, True), checked.out


def test_what_the_provider_contradicts_or_cuts_is_not_taken_for_nothing(cli):
    assert cli("run", "app.py:app", "lie", "hi").code == 0
    assert cli("run", "app.py:app", "cut", "hi").code == 1
    view = cli("cost", "--by", "model", "--json").json()
    found = {row["key"]["model"]: (row["cost_usd"], row["unpriced"]) for row in view["items"] if row["key"]["model"]}
    assert found["gpt-5-mini"] == ("0.00", 2)
    assert found["gpt-5-nano"][1] >= 1
    assert view["total"]["at_least"] is True
    assert "At least: " in cli("cost").out
    events = [json.loads(line) for line in cli("runs", "tail", "last", "--json").out.splitlines()]
    [failed] = [event["data"] for event in events if event["type"] == "model_failed"]
    assert failed["cost"]["unpriced"] == ["an answer that did not come to its end"]
    assert cli("cost", "--check").code == 0


def test_a_row_that_somebody_changed_is_found(cli, database):
    import psycopg

    assert cli("run", "app.py:app", "own", "hi").code == 0
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("update holdfast.ledger set cost_usd_micros = cost_usd_micros - 1 where kind = 'tool'")
    checked = cli("cost", "--check", "--json")
    assert checked.code == 1
    [wrong] = json.loads(checked.out)["wrong"]
    assert (wrong["ledger"], wrong["journal"]) == ({"cost_usd_micros": 19_999}, {"cost_usd_micros": 20_000})
    assert wrong["row"].endswith(" tool look")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--by", "colour"], "Costs are not kept by 'colour'. Name some of: day, feature, model"),
        (["--since", "soon"], "'soon' is not a day for 'since'. Write it as 2026-11-01 or as 7d."),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "The days from 2026-11-02 to 2026-11-01 are none"),
        (["--csv", "--json"], "Give it without --json and --check"),
    ],
)
def test_what_cannot_be_asked_is_told(cli, arguments, says):
    assert cli("migrate").code in {0, 3}
    ended = cli("cost", *arguments)
    assert ended.code == 2
    assert says in ended.err


@pytest.fixture
async def talk(database):
    async with talking(database) as found:
        yield found


async def test_a_user_sees_their_own_and_an_auditor_the_tenants(talk: Talk):
    ann_id, ann = await talk.person("Ann", "user")
    bob_id, bob = await talk.person("Bob", "user")
    _, auditor = await talk.person("Aud", "auditor")
    for client in (ann, ann, bob):
        await talk.say(client, "look around")

    async def users(client) -> dict[str, int]:
        view = (await client.get("/v1/costs?by=user")).json()
        return {view["names"][row["key"]["user"]]: row["model_requests"] for row in view["items"]}

    assert await users(ann) == {"Ann": 6}
    assert await users(bob) == {"Bob": 3}
    assert await users(auditor) == await users(talk.acme) == {"Ann": 6, "Bob": 3}
    other = await talk.parties.tenant("bolt")
    assert (await other.get("/v1/costs?by=user")).json()["items"] == []
    view = (await auditor.get("/v1/costs?by=user,model")).json()
    assert (view["time_zone"], view["total"]["at_least"], view["total"]["unpriced"]) == ("UTC", True, 9)
    assert bob_id not in (await ann.get("/v1/costs?by=user,run,session")).text
    assert ann_id in (await ann.get("/v1/costs?by=user")).text
    narrowed = await talk.narrowed("runs:read")
    assert problem(await narrowed.get("/v1/costs")) == (403, "missing-scope")


async def test_the_form_of_the_answer_is_what_is_accepted(talk: Talk):
    _, ann = await talk.person('=HYPERLINK("x")', "user")
    await talk.say(ann, "hello")
    answer = await ann.get("/v1/costs?by=user,task", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert row["task"] == "talk"
    assert row["user_name"].startswith("'="), "a spreadsheet would take it for a formula"
    for accept in ("*/*", "application/json, text/csv", "text/html"):
        assert (await ann.get("/v1/costs", headers={"Accept": accept})).json()["by"] == []
    assert problem(await ann.get("/v1/costs?by=colour")) == (422, "invalid-cost-query")
    assert problem(await ann.get("/v1/costs?since=yesterday")) == (422, "invalid-cost-query")


async def test_a_run_tells_what_it_cost(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    run = await talk.say(ann, "hello")
    cost = (await ann.get(f"/v1/runs/{run}")).json()["cost"]
    assert cost == {"cost_usd": "0.00", "at_least": True, "unpriced": 1, "model_usd": "0.00", "tool_usd": "0.00"}
    assert (await ann.get("/v1/runs")).json()["items"][0]["cost"] is None
