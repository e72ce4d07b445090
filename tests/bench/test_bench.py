"""The bench runs: every part once, with as little work as there can be. What it costs is for `make bench` to say."""

import orjson
import pytest
from bench.__main__ import PARTS, main, write
from bench.peers.__main__ import ratio_row, table_of
from bench.peers.figure import Figure
from bench.row import Row


@pytest.mark.parametrize("part", ["commits", "governed", "over_http", "resume", "tenancy", "verdicts"])
def test_a_part_runs_and_writes_its_rows(part, tmp_path, capsys):
    results = tmp_path / "results.json"
    assert part in PARTS
    assert main(["--quick", "--only", part, "--results", str(results)]) == 0
    rows = orjson.loads(results.read_bytes())["rows"]
    assert rows
    assert all(row["measured"] > 0 and row["quick"] for row in rows.values())
    assert "What Holdfast costs" in capsys.readouterr().out


def test_rows_of_other_parts_stay(tmp_path):
    results = tmp_path / "results.json"
    for name in ("a", "b"):
        write([Row(name=name, measured=1)], results, quick=True)
    assert orjson.loads(results.read_bytes())["rows"].keys() == {"a", "b"}


def test_a_missed_bar_is_told():
    assert Row(name="a", measured=2, bar=1).met is False
    assert Row(name="a", measured=2, bar=1, kind="at least").met is True
    assert Row(name="a", measured=2).met is None


def test_the_ratio_to_a_peer_is_of_no_op_steps():
    figures = [
        Figure("holdfast", "no-op", 3000, 0.1, None, None),
        Figure("dbos", "no-op", 100, 3, 5, 11),
        Figure("holdfast", "agent", 100, 1, 1, 1),
        Figure("dbos", "agent", 50, 3, 5, 11),
    ]
    assert ratio_row(figures).measured == 30
    assert table_of(figures).row_count == 4
