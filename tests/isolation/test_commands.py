"""Each command that acts in a tenant, told to act in one with the ids and names of another: as with those of nobody.

In this process, for each process of its own would cost a second; `tests/acceptance` has the real ones. The commands
come from the program: one without a case here fails.
"""

import os
import re
from uuid import uuid4

import pytest
from leak_rows import rows_of
from typer import Typer
from typer.main import get_command

from holdfast.cli.entry import main
from holdfast.cli.program import program
from holdfast.cli.told import NAMING
from holdfast.settings import PREFIX
from support.cli import APP, KEY

BY_ID = {
    "runs show": "run",
    "runs tail": "run",
    "runs cancel": "run",
    "runs message": "run",
    "approvals show": "task",
    "approvals decide": "task",
    "approvals link": "task",
    "sessions show": "session",
    "sessions delete": "session",
    "sessions invalidate": "session",
    "sessions lift": "session",
    "halt show": "halt",
    "halt lift": "halt",
    "budget show": "budget",
    "budget raise": "budget",
    "budget rm": "budget",
    "keys rotate": "key",
    "keys revoke": "key",
}
ANY = str(uuid4())
MORE = {
    "sessions invalidate": ["--run", ANY, "--from", "1", "--reason", "x"],
    "sessions lift": [ANY, "--reason", "x"],
    "budget raise": ["5"],
    "runs message": ["hello"],
    "approvals decide": ["--approve"],
    "approvals link": ["--for", "Ann"],
}
BY_NAME = {
    "principals grant": ["auditor"],
    "principals revoke": ["user"],
    "principals disable": [],
    "principals enable": [],
    "keys create": [],
}
LISTS = {"runs ls", "approvals ls", "principals ls", "keys ls", "audit ls", "sessions ls", "halt ls", "cost"} | {
    "budget ls", "budget alerts", "budget reconcile",
}  # fmt: skip
PLATFORMS = {f"tenants {one}" for one in ["ls", "create", "suspend", "resume", "export", "import", "delete"]} | {
    f"tenants quotas {one}" for one in ["show", "set", "rm"]
}
NOT_IN_A_TENANT = {"demo", "init", "dev", "serve", "worker", "tasks", "doctor", "migrate", "version", "config show"} | {
    f"policy {one}" for one in ["init", "check", "explain", "test", "diff"]
}
OTHER = {"run", "principals invite", "budget set", "budget zone"} | {
    f"tenants limits {one}" for one in ["show", "set", "rm"]
}


def commands(app: Typer, before: str = "") -> set[str]:
    own = {f"{before}{(one.name or one.callback.__name__).rstrip('_')}" for one in app.registered_commands}
    groups = (commands(one.typer_instance, f"{before}{one.name} ") for one in app.registered_groups)
    return own.union(*groups)


def metavars(command):
    for one in getattr(command, "commands", {}).values():
        yield from metavars(one)
    yield from (one.metavar for one in command.params if one.param_type_name == "argument")


@pytest.fixture
def holdfast(two, tmp_path, monkeypatch, capsys):
    """Exit code and everything that was printed."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", two.scene.database.url)
    monkeypatch.setenv("HOLDFAST_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def act(*arguments: str):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--tenant", "acme", *arguments])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return act


def test_every_command_has_a_case():
    known = {*BY_ID, *BY_NAME, *LISTS, *PLATFORMS, *NOT_IN_A_TENANT, *OTHER}
    assert commands(program) == known, "a command has no case in tests/isolation/test_commands.py"


def test_of_every_argument_it_is_known_whether_it_names_something():
    """What does is told to the tenant in which an operator looks; what does not may be content, and is not."""
    others = {"ALLOWANCE", "APP", "ATTEMPT", "CASES", "FILE", "INPUT", "MORE", "NAME", "NAME=NUMBER", "NEW", "OLD"} | {
        "TEXT", "TOOL", "ZONE", "bank|tenants|refunds|halt|runaway", None,
    }  # fmt: skip
    shown = {shown and shown.strip("[].") for shown in metavars(get_command(program))}
    assert shown == NAMING | others, "an argument is called by no name that cli/told.py or this test knows"


@pytest.mark.parametrize("actor", [[], ["--principal", "Ann"]])
def test_what_another_tenant_has_is_as_what_nobody_has(two, holdfast, actor):
    before = rows_of(two.scene.admin, two.b.id)
    for command, kind in BY_ID.items():
        foreign, nobody = str(getattr(two.b, kind)), str(uuid4())
        answers = [
            holdfast(*actor, *command.split(), id_, *MORE.get(command, [])) for id_ in (foreign, nobody)
        ]  # fmt: skip
        assert answers[0][0] == 5, f"{command}: {answers[0]}"
        assert answers[0][1].replace(foreign, "") == answers[1][1].replace(nobody, ""), command
    assert rows_of(two.scene.admin, two.b.id) == before


def test_names_are_looked_up_in_ones_own_tenant(two, holdfast):
    create = "select holdfast.create_principal(%s, gen_random_uuid(), 'person', 'Only', null, '{user}', 'me')"
    two.scene.call(two.scene.api, two.b.id, create, two.b.id)
    before = rows_of(two.scene.admin, two.b.id)
    for command, more in BY_NAME.items():
        code, said = holdfast(*command.split(), "Only", *more)
        assert (code, "no principal 'Only'" in said) == (5, True), f"{command}: {said}"
    assert holdfast("--principal", "Only", "runs", "ls")[0] == 5
    assert holdfast("principals", "invite", "Only")[0] == 0, "the name is free here"
    assert rows_of(two.scene.admin, two.b.id) == before


def test_lists_show_ones_own(two, holdfast):
    before = rows_of(two.scene.admin, two.b.id)
    for command in sorted(LISTS - {"approvals ls"}):
        code, said = holdfast(*command.split(), "--json")
        assert code == 0, said
        assert two.b.shows(said) == [], command
        assert re.search("|".join((two.a.mark, *two.a.ids)), said), f"{command} shows nothing of one's own"
    _, said = holdfast("approvals", "ls", "--run", str(two.b.run), "--json")
    assert two.b.shows(said) == []
    assert rows_of(two.scene.admin, two.b.id) == before


def test_tenants_are_managed_by_the_platforms_people_only(two, holdfast):
    assert holdfast("--principal", "Ann", "runs", "ls")[0] == 0
    more = {
        "ls": [],
        "create": ["another"],
        "suspend": ["bolt", "--reason", "x"],
        "resume": ["bolt"],
        "delete": ["bolt", "--yes"],
        "quotas show": ["bolt"],
        "quotas set": ["bolt", "--runs", "1"],
        "quotas rm": ["bolt", "runs"],
    }
    for verb, arguments in more.items():
        code, said = holdfast("--principal", "Ann", "tenants", *verb.split(), *arguments)
        assert code == 5, "she is none of them"
        assert "bolt" not in said


def test_limits_are_those_of_ones_own_tenant(two, holdfast):
    before = rows_of(two.scene.admin, two.b.id)
    shown = holdfast("tenants", "limits", "show", "--json")
    assert (shown[0], two.a.mark in shown[1], two.b.shows(shown[1])) == (0, True, [])
    assert holdfast("tenants", "limits", "set", "steps=7")[0] == 0
    assert holdfast("tenants", "limits", "rm", f"calls:{two.b.mark}")[0] == 2, "it has none of that name"
    assert holdfast("tenants", "limits", "rm", f"calls:{two.a.mark}")[0] == 0
    limits = dict(two.scene.admin.execute("select name, ceilings from holdfast.tenants").fetchall())
    assert (limits["acme"], limits["bolt"]) == ({"steps": 7}, {f"calls:{two.b.mark}": 5000})
    assert rows_of(two.scene.admin, two.b.id) == before


def test_a_session_of_another_tenant_is_as_one_that_nobody_has(two, holdfast):
    session = uuid4()
    begin = "insert into holdfast.sessions (tenant, id, subject, principal) values (%s, %s, 's', 'p') returning 1"
    two.scene.call(two.scene.api, two.b.id, begin, two.b.id, session)
    before = rows_of(two.scene.admin, two.b.id)
    code, said = holdfast(
        "--principal", "Ann", "run", APP, "echo", "hi", "--detach", "--session", str(session), "--json"
    )
    assert code == 0, said
    assert two.b.shows(said) == []
    assert rows_of(two.scene.admin, two.b.id) == before


def test_what_is_halted_is_ones_own(two, holdfast):
    before = rows_of(two.scene.admin, two.b.id)
    for scope, foreign in (("run", two.b.run), ("session", two.b.session), ("user", two.b.principal)):
        nobody = str(uuid4())
        answers = [holdfast("halt", f"--{scope}", str(id_), "--reason", "x") for id_ in (foreign, nobody)]
        assert answers[0][0] == 5, f"{scope}: {answers[0]}"
        assert answers[0][1].replace(str(foreign), "") == answers[1][1].replace(nobody, ""), scope
    assert holdfast("--principal", "Ann", "halt", "--tenant", "bolt", "--reason", "x")[0] == 8
    assert holdfast("halt", "--everything", "--reason", "x")[0] == 8
    assert holdfast("halt", "--task", "t", "--reason", "x")[0] == 0
    assert rows_of(two.scene.admin, two.b.id) == before
