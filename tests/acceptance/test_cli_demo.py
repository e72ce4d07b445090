"""`holdfast demo`: it shows what it promises, and says so when it does not."""

import json
import re
import sys

from support import forked
from support.cli import Cli, Ended

# The demo with one thing gone wrong in it.
BANK_BOOKS_TWICE = """
import uuid
from holdfast.cli import main
from holdfast.cli.demo.bank import Ledger
honest = Ledger.refund
Ledger.refund = lambda self, key, payment, cents: honest(self, f"{key}{uuid.uuid4()}", payment, cents)
main(["demo"])
"""
WORKER_CANNOT_START = """
from holdfast.cli import main
from holdfast.cli.demo import stage
stage._APP = "holdfast.no_such_app"
main(["demo"])
"""


def spoilt(program, tmp_path):
    environment = Cli(tmp_path, TMPDIR=str(tmp_path)).environment
    return Ended(*forked.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, timeout=170))


def test_a_killed_worker_is_survived(tmp_path):
    # A configuration of the user's own is not touched and does not matter.
    cli = Cli(tmp_path, TMPDIR=str(tmp_path), HOLDFAST_DATABASE_URL="postgresql://nowhere", OPENAI_API_KEY="mine")
    ended = cli("demo")
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.splitlines()[-1] == "demo: ok"
    assert "kill -9 worker A." in ended.out
    assert re.search(
        r"^ +ok  the bank's own ledger shows each refund once \(taxi 20.00, shop 480.00\)$", ended.out, re.MULTILINE
    )
    assert re.search(r"^ +ok  one worker began it and another finished it", ended.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_a_broken_promise_is_told_and_fails(tmp_path):
    ended = spoilt(BANK_BOOKS_TWICE, tmp_path)
    assert ended.code == 1, ended.out + ended.err
    assert "taxi 20.00, taxi 20.00" in ended.out
    assert "Not as promised: the bank's own ledger shows each refund once." in ended.out.replace("\n", " ")
    assert ended.out.splitlines()[-1] == "demo: FAILED"


def test_a_worker_that_cannot_start_is_told_with_its_log(tmp_path):
    ended = spoilt(WORKER_CANNOT_START, tmp_path)
    assert ended.code == 1
    assert "There is no module 'holdfast.no_such_app'" in ended.out
    assert ended.out.splitlines()[-1] == "demo: FAILED"


# The demo of tenants with one thing gone wrong in it: Bob is let in as Ann.
BOB_IS_ANN = """
from dataclasses import replace
from holdfast.cli import main
from holdfast.cli.demo import tenants
def mistaken(attempt):
    return lambda scene, say: attempt(replace(scene, clients=scene.clients | {"Bob": scene.ann}), say)
tenants.by_name, tenants.by_lists = mistaken(tenants.by_name), mistaken(tenants.by_lists)
main(["demo", "tenants", "--json"])
"""
# The other: the database keeps nothing apart.
ROW_SECURITY_OFF = """
import psycopg
from holdfast.cli import main
from holdfast.cli.demo import tenants
honest = tenants.set_scene
async def careless(services, url, admin_url, stack):
    scene = await honest(services, url, admin_url, stack)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for table in ("plans", "holdfast.live", "holdfast.runs", "holdfast.events"):
            admin.execute(f"alter table {table} disable row level security")
    return scene
tenants.set_scene = careless
main(["demo", "tenants", "--json"])
"""
LEAKS = {
    "idempotency keys",
    "caches",
    "error texts",
    "counts",
    "cursors",
    "sort orders",
    "live deltas",
    "notifications",
    "files",
    "log lines",
    "metric labels",
    "a tool's connection",
}
"""What else than rows could leak, as the demo's promises begin."""


def broken(ended):
    """The promises that were not kept, by what they begin with."""
    told = json.loads(ended.out)
    assert (ended.code, told["ok"]) == (1, False), ended.err
    return {one["promise"].partition(":")[0] for one in told["promises"] if not one["kept"]}


def test_two_tenants_never_meet(tmp_path):
    ended = Cli(tmp_path)("demo", "tenants", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["ok"], told["directory"]) == (0, True, None), ended.err
    assert len(told["promises"]) > 30
    assert all(one["kept"] for one in told["promises"])
    assert {one["promise"].partition(":")[0] for one in told["promises"]} >= LEAKS


def test_one_who_is_taken_for_another_fails_the_demo_of_tenants(tmp_path):
    found = broken(spoilt(BOB_IS_ANN, tmp_path))
    assert found >= {"Bob reads Ann's run", "idempotency keys", "caches", "counts", "cursors", "sort orders"}


def test_a_database_that_keeps_nothing_apart_fails_the_demo_of_tenants(tmp_path):
    found = broken(spoilt(ROW_SECURITY_OFF, tmp_path))
    assert found == {
        "live deltas",
        "a tool's connection",
        "without a tenant, there are no rows",
        "in Bolt's scope, Acme's run is not there",
        "nor its events, asked for by Acme's id",
    }


def test_a_hundred_runs_are_stopped_and_go_on(tmp_path):
    ended = Cli(tmp_path)("demo", "halt")
    assert ended.code == 0, ended.out + ended.err
    for said in ("last new dispatch", "last cancellable call ended", "last effect finished", "100 succeeded"):
        assert said in ended.out
    assert ended.out.rstrip().endswith("demo: ok")


def test_an_unknown_demo_is_a_usage_error(tmp_path):
    ended = Cli(tmp_path)("demo", "cats")
    assert (ended.code, "tenants" in ended.err) == (2, True)


# The demo of a runaway with one thing gone wrong in it: whatever is asked, budgets have room.
BUDGETS_BIND_NOBODY = """
from holdfast.cli import main
from holdfast.cli.demo import runaway
runaway.DAY_USD = "1000"
main(["demo", "runaway"])
"""


def test_a_runaway_is_stopped_four_times(tmp_path):
    ended = Cli(tmp_path)("demo", "runaway")
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.rstrip().endswith("demo: ok")
    assert "The run is in a loop" in ended.out
    assert "The limit on money is reached" in ended.out
    assert re.search(r"^ +ok  the model provider counted as many requests as the ledger has", ended.out, re.MULTILINE)


def test_a_runaway_that_no_budget_stops_fails_the_demo(tmp_path):
    ended = spoilt(BUDGETS_BIND_NOBODY, tmp_path)
    assert ended.code == 1, ended.out + ended.err
    assert "demo: FAILED" in ended.out
