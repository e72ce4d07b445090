"""What a careless user does: each time a clear message under the right exit code, soon, and nothing is stored."""

import time

import psycopg
import pytest

from holdfast.embedded import acquire
from support.cli import APP, KEY, Cli

MALFORMED = [
    "nonsense:hidden",
    "mysql://me:hidden@host/db",
    "postgresql://a b:hidden@host/db",
    "postgresql://me:hidden%@host/db",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_url_that_is_none_is_named_without_its_password(tmp_path, url):
    cli = Cli(tmp_path, HOLDFAST_DATABASE_URL=url, HOLDFAST_KEY=KEY)
    for command in (["runs", "ls"], ["worker", APP], ["doctor"]):
        ended = cli(*command)
        assert ended.code == 3, ended.err
        assert "HOLDFAST_DATABASE_URL: 'database_url' is not a URL of PostgreSQL" in ended.err
        assert "hidden" not in ended.out + ended.err


def test_a_workers_login_that_may_not_carry_runs_is_told_which_may(tmp_path, database):
    cli = Cli(tmp_path, HOLDFAST_DATABASE_URL=database.api_url, HOLDFAST_KEY=KEY)
    for command in (["worker", APP], ["run", APP, "echo", "x"]):
        ended = cli(*command)
        assert ended.code == 4, ended.err
        assert "'holdfast_api' may not carry runs" in ended.err
        assert "holdfast_worker" in ended.err
    assert rows(database) == 0


@pytest.mark.parametrize("command", [["runs", "ls"], ["worker", APP], ["serve", APP, "--port", "0"]])
@pytest.mark.parametrize(
    ("login", "name", "says"), [("nobody", "", "nobody"), ("holdfast_worker", "nowhere", "nowhere")]
)
def test_a_login_or_database_that_is_not_there_ends_soon_and_says_which(tmp_path, database, command, login, name, says):
    url = database.url_of(login).replace(database.name, name or database.name)
    refused_soon(tmp_path, url, command, says)


@pytest.mark.parametrize("command", [["runs", "ls"], ["worker", APP], ["serve", APP, "--port", "0"]])
def test_a_wrong_password_ends_soon_and_says_so_and_is_not_shown(tmp_path, command):
    above = tmp_path
    for _ in range(3):
        above.chmod(0o755)  # as root, PostgreSQL runs as another user, who has to come through here
        above = above.parent
    with acquire(tmp_path / "pg", settings={"fsync": "off"}, tcp_port=0) as server:
        login, _, place = server.tcp_url().partition("@")
        url = f"{login.rpartition(':')[0]}:hidden@{place}"
        refused_soon(tmp_path, url, command, "password authentication failed")


def refused_soon(folder, url, command, says):
    began = time.monotonic()
    ended = Cli(folder, HOLDFAST_DATABASE_URL=url, HOLDFAST_KEY=KEY)(*command)
    assert ended.code == 4, ended.err
    assert says in ended.err
    assert "HOLDFAST_DATABASE_URL" in ended.err
    assert "Traceback" not in ended.err
    assert "hidden" not in ended.out + ended.err
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("app.task('t', agent='openai:gpt-5')", "app.py:7: Task 't': 'openai:gpt-5' is not an agent"),
        ("app.task('t', agent=agent); app.task('t', agent=agent)", "app.py:7: Task 't' is registered twice"),
        ("app.task('t', agent=locking)", "app.py:7: Task 't': tool 'lock' ("),
        ("app.task('T t', agent=agent)", "app.py:7: 'T t' cannot name a task"),
        ("pass", "App 'careless' has no task"),
        ("app.task('t', agent=Agent())", "Task 't': its agent has no model"),
        ("app.task('t', agent=agent, agents=[Agent(name='helper')])", "Task 't': sub-agent 'helper' has no model"),
    ],
)
def test_an_app_that_cannot_work_is_refused_at_the_start(tmp_path, code, says):
    (tmp_path / "app.py").write_text(
        f"""from threading import Event
from pydantic_ai import Agent
from holdfast import App
agent, locking = Agent("test"), Agent("test")
def lock() -> Event: return Event()
locking.tool_plain(lock); app = App("careless")
{code}
"""
    )
    ended = Cli(tmp_path)("worker", "app.py:app")
    assert ended.code == 3, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["run"]])
def test_a_run_that_nobody_could_carry_is_not_accepted(tmp_path, database, command):
    (tmp_path / "app.py").write_text(
        "from holdfast import App\nfrom pydantic_ai import Agent\napp = App('a')\napp.task('t', agent=Agent())\n"
    )
    name, *more = command
    ended = Cli(tmp_path, database)(name, "app.py:app", *(more or ["t", "x"]))
    assert ended.code == 3, ended.err
    assert "has no model" in ended.err
    assert rows(database) == 0


_TOOL = """from pydantic_ai import Agent
from holdfast import App, effect
agent = Agent("test")
@agent.tool_plain
{mark}def pay(amount: int) -> str: return "paid"
app = App("careless"{policy})
app.task("t", agent=agent)
"""


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_nobody_serves_a_tool_of_which_nothing_was_said(tmp_path, database, command):
    (tmp_path / "app.py").write_text(_TOOL.format(mark="", policy=""))
    ended = Cli(tmp_path, database)(command, "app.py:app")
    assert ended.code == 3, ended.err
    assert "task 't': pay" in ended.err
    assert "undeclared='ask'" in ended.err


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_nobody_serves_by_a_policy_that_is_not_in_order(tmp_path, database, command):
    (tmp_path / "app.py").write_text(_TOOL.format(mark="@effect.once\n", policy=", policy='policy.cedar'"))
    (tmp_path / "policy.cedar").write_text('permit (principal, action == Action::"pya", resource);')
    ended = Cli(tmp_path, database)(command, "app.py:app")
    assert ended.code == 3, ended.err
    assert "policy.cedar:1:" in ended.err
    assert "'pay'" in ended.err


def test_a_result_that_cannot_be_stored_says_what_it_was_and_what_to_do(tmp_path, database):
    (tmp_path / "app.py").write_text(
        """from typing import Any
from pydantic_ai import Agent
from holdfast import App
class Handle: pass
agent = Agent("test")
@agent.tool_plain
def open_it() -> Any: return Handle()
app = App("careless")
app.task("t", agent=agent, stream=False, effects={"open_it": "once"})
"""
    )
    ended = Cli(tmp_path, database)("run", "app.py:app", "t", "x")
    assert ended.code == 7, ended.err
    assert "'open_it' returned something that cannot be stored" in ended.err
    assert "Handle" in ended.err
    assert "Let it return a type that Pydantic can serialise" in ended.err
    assert "effect.idempotent" not in ended.err, "to run it again would not help"


def test_a_dependency_factory_that_raises_fails_the_run_with_its_place(tmp_path, database):
    (tmp_path / "app.py").write_text(
        """from pydantic_ai import Agent
from holdfast import App
def deps(scope): raise LookupError("no ledger for this tenant")
app = App("careless")
app.task("t", agent=Agent("test"), deps=deps)
"""
    )
    ended = Cli(tmp_path, database)("run", "app.py:app", "t", "x")
    assert ended.code == 1
    assert "LookupError at app.py:3 in deps: no ledger for this tenant" in ended.err


def test_what_is_refused_stores_nothing(tmp_path, database):
    cli = Cli(tmp_path, database)
    (tmp_path / "big").write_text("x" * (1 << 21))
    for command, code, says in [
        (["run", APP, "nope", "x"], 5, "no task 'nope'"),
        (["run", APP, "order", "{"], 2, "JSON"),
        (["run", APP, "order", '{"item": 7}'], 2, "count"),
        (["run", APP, "echo", "@big"], 2, "2,097,15"),
        (["run", APP, "echo", "@absent"], 2, "absent"),
    ]:
        ended = cli(*command)
        assert ended.code == code, ended.err
        assert says in ended.err
        assert "Traceback" not in ended.err
    assert rows(database) == 0


def rows(database) -> int:
    with psycopg.connect(database.admin_url) as connection:
        found = connection.execute("select count(*) from holdfast.runs").fetchone()
        assert found is not None
        return found[0]
