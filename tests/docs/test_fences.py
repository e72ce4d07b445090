"""Every code fence of the README and the guides runs as it stands.

A Python fence whose first line is `# name.py` is written to that file and imported; the commands of `console`
fences run in order, in one directory for each page. Commands that stay, or reach out, are only checked for being
commands.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.main import get_command

from holdfast.cli.program import program
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.rights import GIVEN, Role, Scope
from holdfast.engine.inspect import shapes_of
from holdfast.testing import ModelServer, Script, call, say
from support import forked
from support.cli import Cli

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"[|&;<>$`*?]")
STAY = {"dev", "serve", "worker", "demo", "migrate"}


def fences(page):
    return FENCE.findall((ROOT / page).read_text())


def run(command, folder, environment):
    shown = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert shown.returncode == 0, f"{command}\n{shown.stdout}{shown.stderr}"
    return shown.stdout


def environment_of(cli):
    return cli.environment | {"PATH": f"{Path(sys.executable).parent}:{cli.environment['PATH']}"}


def run_holdfast(line, folder, environment):
    """A command of Holdfast's own, without the seconds that a new interpreter takes to import everything."""
    command = [sys.executable, "-m", "holdfast.cli", *shlex.split(line)[1:]]
    code, said, failed = forked.run(command, timeout=150, cwd=folder, env=environment)
    assert code == 0, f"{line}\n{said}{failed}"
    return said


def play(page, cli, folder, *, as_typed=False):
    """Run a page from top to bottom; `as_typed`: its commands in a shell, by the script that is installed."""
    environment = environment_of(cli)
    ran = 0
    for language, text in fences(page):
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", text)
            assert name, f"{page}: a Python fence begins with its file's name"
            (folder / name[1]).write_text(text)
            run(f"python -c 'import {name[1][:-3]}'", folder, environment)
        elif language == "console":
            lines = text.splitlines()
            for line, following in zip(lines, [*lines[1:], "$"], strict=True):
                if not line.startswith("$ "):
                    continue
                words = shlex.split(line[2:])
                if words[0] == "cd":
                    folder /= words[1]
                elif words[0] == "holdfast" and words[1] not in STAY:
                    typed = as_typed or _SHELL.search(line[2:])
                    shown = (run if typed else run_holdfast)(line[2:], folder, environment)
                    ran += 1
                    if not following.startswith("$"):
                        assert shown.splitlines()[-1] == following
                else:
                    assert words[0] in {"make", "export", "curl", "holdfast"}
    return ran


def test_the_readme_runs(database, tmp_path):
    script = Script([call("issue_refund", order="7", amount="12.50"), say("{tool_result}")])
    with ModelServer(script) as model:
        assert play("README.md", Cli(tmp_path, database, **model.env()), tmp_path, as_typed=True) == 2


def test_the_quickstart_runs(database, tmp_path):
    assert play("docs/quickstart.md", Cli(tmp_path, database), tmp_path, as_typed=True) == 8


def test_the_page_of_sessions_runs(database, tmp_path):
    assert play("docs/sessions.md", Cli(tmp_path, database), tmp_path) == 4


def test_the_page_of_costs_runs(database, tmp_path):
    """Its tables are a configuration that is read; its bill is that of the run before."""
    [tables] = [text for language, text in fences("docs/costs.md") if language == "toml"]
    (tmp_path / "holdfast.toml").write_text(tables)
    script = Script([call("forecast", city="Bern"), say("{tool_result}")])
    with ModelServer(script) as model:
        cli = Cli(tmp_path, database, **model.env())
        [program] = [text for language, text in fences("docs/costs.md") if language == "python"]
        (tmp_path / "weather.py").write_text(program)
        assert cli("run", "weather.py:app", "weather", "Bern?").code == 0
        assert play("docs/costs.md", cli, tmp_path) == 4


def test_the_page_of_ones_own_rows_runs(database, tmp_path):
    [table] = [text for language, text in fences("docs/own-rows.md") if language == "sql"]
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(table)
    assert play("docs/own-rows.md", Cli(tmp_path, database), tmp_path) == 1
    with psycopg.connect(database.admin_url) as admin:
        assert admin.execute("select tenant from orders").fetchall() == [(DEFAULT_TENANT,)]


def test_the_page_of_policies_runs(tmp_path):
    assert play("docs/policy.md", Cli(tmp_path), tmp_path) == 3


def test_the_page_of_the_boundary_runs(database, tmp_path):
    assert play("docs/boundary.md", Cli(tmp_path, database), tmp_path) == 5


def test_the_question_on_the_page_of_approvals_is_a_task(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    [text] = [text for language, text in fences("docs/approvals.md") if language == "python"]
    made: dict[str, object] = {}
    exec(text, made)
    assert [tool.name for tool in shapes_of(made["app"]["support"])] == ["ask_customer", "measure"]


def test_the_page_of_loops_runs(database, tmp_path):
    assert play("docs/loops.md", Cli(tmp_path, database), tmp_path) == 2


def test_the_page_of_budgets_runs(database, tmp_path):
    assert play("docs/budgets.md", Cli(tmp_path, database), tmp_path) == 10


def test_make_targets_named_in_pages_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in ("README.md", "docs/quickstart.md"):
        for target in re.findall(r"`make ([\w-]+)`|^\$ make ([\w-]+)$", (ROOT / page).read_text(), re.MULTILINE):
            assert f"\n{target[0] or target[1]}:" in makefile


@pytest.mark.parametrize(
    "page", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))]
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_the_reading_path_names_files_that_exist():
    text = (ROOT / "docs/internals/README.md").read_text()
    named = re.findall(r"`([\w/]+(?:\.py|\.sql|/))`", text)
    assert len(named) > 20
    for name in named:
        assert (ROOT / "src/holdfast" / name).exists(), name


def test_commands_in_the_reference_are_those_there_are():
    page = (ROOT / "docs/cli.md").read_text()
    table = page.partition("## Exit codes")[0]
    there = set()
    for name, command in get_command(program).commands.items():
        there |= {f"{name} {sub}" for sub in getattr(command, "commands", [])} or {name}
        if getattr(command, "invoke_without_command", False):
            there.add(name)
    words = [re.match(r"([a-z]+)(?: ([a-z]+))?", text) for text in re.findall(r"`([^`]+)`(?=,| \|)", table)]
    named = {f"{word[1]} {word[2]}" if f"{word[1]} {word[2]}" in there else word[1] for word in words if word}
    assert named == there


def test_the_table_of_rights_is_the_rule():
    lines = re.findall(r"^\| `([\w:]+)` \|(.*)\|$", (ROOT / "docs/identity.md").read_text(), re.MULTILINE)
    told = {scope: [cell.strip() for cell in cells.split("|")] for scope, cells in lines}
    columns = [Role.USER, Role.SERVICE, Role.APPROVER, Role.OPERATOR, Role.AUDITOR, Role.ADMIN]
    rule = {
        scope.value: [reach.name.lower() if (reach := GIVEN[role].get(scope)) else "" for role in columns]
        for scope in Scope
        if scope not in GIVEN[Role.PLATFORM] or scope in GIVEN[Role.ADMIN]
    }
    assert told == rule
