"""The command line starts fast: what it does not need is not imported. Told by modules, not by time."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from holdfast.cli.program import program

HEAVY = {"pydantic_ai", "psycopg", "fastapi", "uvicorn", "sqlalchemy", "openai", "cryptography", "asyncio"}
THAT_STAY = ["dev", "serve", "worker"]
THAT_END = [
    *("demo", "init", "run", "doctor", "migrate", "version", "config show"),
    *(f"runs {name}" for name in ("ls", "show", "tail", "cancel", "message")),
    *(f"approvals {name}" for name in ("ls", "show", "decide")),
    *(f"policy {name}" for name in ("init", "check", "explain", "test", "diff")),
]
PROBE = """
import sys
from holdfast.cli import main
for arguments in sys.argv[1:]:
    try:
        main(arguments.split())
    except SystemExit as end:
        assert end.code == 0
print("modules", *{name.partition(".")[0] for name in sys.modules})
"""


def loaded_by(*commands):
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *commands], capture_output=True, text=True, timeout=60, check=True
    )
    return set(ended.stdout.splitlines()[-1].split()[1:])


def test_help_imports_nothing_heavy():
    modules = loaded_by("--help")
    assert "typer" in modules
    assert not modules & (HEAVY | {"pydantic"})


def test_no_command_imports_anything_heavy_before_it_is_called():
    # Typer itself looks for Pydantic's types once a command is named.
    assert not loaded_by("version", *(f"{command} --help" for command in THAT_STAY + THAT_END)) & HEAVY


@pytest.mark.parametrize("command", THAT_STAY + THAT_END)
def test_every_command_explains_itself_and_those_that_end_speak_json(command):
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(program, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert command.split()[-1] in shown.output.splitlines()[1]
    assert ("--json" in shown.output) == (command in THAT_END)


def test_help_names_every_command():
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(program, ["--help"]).output
    for command in THAT_STAY + THAT_END:
        assert f" {command.split()[0]} " in shown
