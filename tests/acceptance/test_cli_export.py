"""`holdfast tenants export` and `import` on files as they are: taken, full, damaged."""

import subprocess

import orjson
import pytest

from support.cli import Cli


@pytest.fixture
def cli(database, tmp_path):
    cli = Cli(tmp_path, database)
    assert cli("tenants", "create", "acme").code == 0
    return cli


def export(name="acme", out="acme.jsonl", key="acme.key"):
    return "tenants", "export", name, "--out", out, "--key-file", key


def test_what_is_refused_leaves_nothing(cli):
    def files():
        return {path.name: path.read_text() for path in cli.folder.iterdir()}

    (cli.folder / "taken").write_text("mine")
    for arguments, code, says in (
        (export("nosuch"), 5, "no tenant 'nosuch'"),
        (export(out="taken"), 3, "taken cannot be written: File exists. Nothing was exported."),
        (export(key="taken"), 3, "taken cannot be written: File exists. Nothing was exported."),
        (export(out="same", key="same"), 3, "same cannot be written: File exists. Nothing was exported."),
        (export(out="nowhere/acme.jsonl"), 3, "nowhere/acme.jsonl cannot be written: No such file"),
        (("--principal", "nobody", *export()), 5, "no principal 'nobody'"),
    ):
        ended = cli(*arguments)
        assert (ended.code, says in ended.err, files()) == (code, True, {"taken": "mine"}), f"{arguments}: {ended}"


@pytest.mark.parametrize("blocks", [0, 1])
def test_what_does_not_fit_on_the_disk_leaves_nothing(cli, blocks):
    """Neither the key, which is written first and has less than a block, nor a part of the export, which has more."""
    command = ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash", *cli.command(*export())]
    ended = subprocess.run(command, cwd=cli.folder, env=cli.environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, "cannot be written: File too large" in ended.stderr) == (3, True), ended
    assert list(cli.folder.iterdir()) == []


def test_a_damaged_export_is_said_by_its_line_and_imported_whole_once_the_half_is_deleted(cli):
    assert cli(*export()).code == 0
    assert (cli.folder / "acme.key").stat().st_mode & 0o777 == 0o600
    lines = (cli.folder / "acme.jsonl").read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if orjson.loads(line).get("table") == "principals")
    row = orjson.loads(lines[at])["row"]
    cli("tenants", "suspend", "acme", "--reason", "moves")
    assert cli("tenants", "delete", "acme", "--yes").code == 0
    for damaged, why in (
        ({"row": row}, "it does not say of which `table` it is"),
        ({"table": "principals", "row": row | {"name": None}}, "null value in column"),
        ({"table": "principals", "row": row | {"kind": "cat"}}, "violates check constraint"),
    ):
        (cli.folder / "damaged.jsonl").write_bytes(
            b"".join([*lines[:at], orjson.dumps(damaged) + b"\n", *lines[at + 1 :]])
        )
        ended = cli("tenants", "import", "damaged.jsonl", "--key-file", "acme.key")
        said = f"Line {at + 1} of the export is damaged"
        assert (ended.code, said in ended.err, why in ended.err) == (2, True, True), ended
        assert "`holdfast tenants delete acme` removes it" in ended.err
        assert cli("tenants", "import", "acme.jsonl", "--key-file", "acme.key").code == 6
        assert cli("tenants", "delete", "acme", "--yes").code == 0
    assert cli("tenants", "import", "acme.jsonl", "--key-file", "acme.key").out == "tenant acme: suspended\n"
