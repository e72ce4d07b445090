"""Bank support: the agent bare, its ledger, and whole runs from the command line."""

import json
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from support.cli import Cli

FOLDER = Path(__file__).parents[2] / "examples" / "bank_support"
APP = f"{FOLDER / 'app.py'}:app"
LOST = "I just lost my card!"
STOLEN = "My card was stolen, and 480.00 were paid with it!"

sys.path.insert(0, str(FOLDER))
from ledger import Ledger  # noqa: E402  # pyright: ignore[reportMissingImports]


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "bank.sqlite3")
    made.open_account("ann")
    return made


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database, BANK_LEDGER=str(tmp_path / "bank.sqlite3"), HOLDFAST_ENV="dev")


def booked(tmp_path):
    with sqlite3.connect(tmp_path / "bank.sqlite3") as bank:
        return sorted(bank.execute("select cents, reason from bookings").fetchall())


def test_the_ledger_books_each_key_once(ledger):
    first = ledger.credit("k", "ann", Decimal("12.00"), "a new card")
    again = ledger.credit("k", "ann", Decimal("99.00"), "something else")
    assert again == first
    assert ledger.credit("other", "ann", Decimal("1.50"), "more").amount == Decimal("1.50")
    assert ledger.account("ann").balance == Decimal("136.95")
    assert [booking.key for booking in ledger.bookings("ann")] == ["k", "other"]


def test_the_agent_is_an_ordinary_agent_that_runs_without_holdfast(tmp_path, cli):
    program = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from pathlib import Path; from support import *\n"
        "bank = Ledger(Path('b.sqlite3')); bank.open_account('ann')\n"
        "print(support_agent.run_sync('How much is there?', deps=Deps('ann', bank)).output.model_dump_json())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=cli.environment, capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout)["reply"] == "There are 123.45 on your account."


def test_an_answer_that_is_not_so_is_sent_back(tmp_path, cli):
    program = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from pathlib import Path; from support import *\n"
        "from pydantic_ai.models.function import FunctionModel\n"
        "from pydantic_ai.messages import ModelResponse, ToolCallPart\n"
        "says = lambda messages, info: ModelResponse(parts=[ToolCallPart(info.output_tools[0].name,\n"
        "    {'reply': 'Done.', 'card_blocked': len(messages) == 1, 'risk': 1})])\n"
        "bank = Ledger(Path('b.sqlite3')); bank.open_account('ann')\n"
        "result = support_agent.run_sync('Block it', deps=Deps('ann', bank), model=FunctionModel(says))\n"
        "print(result.usage.requests, result.output.card_blocked)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=cli.environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["2", "False"]


def test_a_lost_card_on_a_machine_with_nothing_else_running(tmp_path):
    """No database, no key, no server: the embedded PostgreSQL is started, and stops again."""
    folder = tmp_path / "here"
    folder.mkdir()
    cli = Cli(folder, BANK_LEDGER=str(tmp_path / "bank.sqlite3"))
    ended = cli("run", APP, "support", LOST)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["card_blocked"] is True
    assert booked(tmp_path) == [(1200, "a new card")]
    story = cli("runs", "show", ended.err.splitlines()[0].removeprefix("run ")).out
    for tool in ("customer_balance", "block_card", "issue_refund"):
        assert f"called {tool}" in story
    assert "4 model requests, 3 tool calls" in story


def test_a_large_refund_waits_for_a_person_and_is_paid_once(cli, tmp_path):
    waits = cli("run", APP, "support", STOLEN)
    assert waits.code == 7, waits.err
    assert booked(tmp_path) == [(1200, "a new card")], "what needs no approval is done, the rest is not"
    task = cli("approvals", "ls", "--json").json()["items"][0]
    assert (task["ask"], task["args"]["value"]["amount"]) == ("user", "480.00")
    assert cli("approvals", "decide", task["id"], "--approve").code == 0
    ended = cli("run", APP, "--resume", task["run"])
    assert ended.code == 0, ended.err
    assert "480.00 are back" in json.loads(ended.out)["reply"]
    assert booked(tmp_path) == [(1200, "a new card"), (48000, "a payment the customer did not make")]
    assert "waited for an approval" in cli("runs", "show", "last").out
    items = [json.loads(line) for line in cli("runs", "tail", "last", "--json").out.splitlines()]
    texts = [item["text"] for item in items if item["item"] == "delta" and item["kind"] == "text"]
    assert "I am blocking the card." in texts, "what was streamed can be read afterwards, told apart from events"
