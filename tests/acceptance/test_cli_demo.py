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


# The demo of tenants with one thing gone wrong in it: whoever asks sees everybody's.
ALL_SEE_ALL = """
from holdfast.cli.demo import attempts
async def careless(client, method, path, foreign, what, body=None, who=""):
    answer = await client.request("GET", "/v1/me")
    return attempts.Promise(what, answer.status_code == 404, "somebody else's")
attempts._as_absent = careless
from holdfast.cli import main
main(["demo", "tenants"])
"""


def test_two_tenants_never_meet(tmp_path):
    ended = Cli(tmp_path)("demo", "tenants", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["ok"], told["directory"]) == (0, True, None), ended.err
    assert len(told["promises"]) >= 20
    assert all(one["kept"] for one in told["promises"])


def test_a_leak_fails_the_demo_of_tenants(tmp_path):
    ended = spoilt(ALL_SEE_ALL, tmp_path)
    assert ended.code == 1
    assert "demo: FAILED" in ended.out


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
