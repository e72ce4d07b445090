"""The ledger in the append: with the events or not at all, each run its own rows, nobody waiting."""

import psycopg

from holdfast.domain.ledger import Amounts
from support.store_scene import SUCCEED, Aside, Member, outcomes

DAY = 20_000


def cost(micros: int, *, kind: str = "model", name: str = "m", feature: str = "f", day: int = DAY):
    return (kind, name, feature, day, Amounts(cost_usd_micros=micros, times=1, bytes=3))


def rows(scene, run):
    found = scene.admin.execute(
        "select day - date '1970-01-01', kind, name, feature, task, principal, cost_usd_micros, times, bytes"
        " from holdfast.ledger where run = %s order by 1, 2, 3",
        [run],
    )
    return found.fetchall()


def test_lines_are_added_to_the_row_of_their_run_day_and_name(scene):
    one, other = scene.hold(2)
    assert (
        outcomes(scene.worker, Member(one, costs=[cost(5), cost(1, name="n")]), Member(other, costs=[cost(9)]))
        == ["appended"] * 2
    )
    assert outcomes(scene.worker, Member(one, costs=[cost(7), cost(2, day=DAY + 1)])) == ["appended"]
    assert rows(scene, one.run) == [
        (DAY, "model", "m", "f", "t", "p", 12, 2, 6),
        (DAY, "model", "n", "f", "t", "p", 1, 1, 3),
        (DAY + 1, "model", "m", "f", "t", "p", 2, 1, 3),
    ]
    assert rows(scene, other.run) == [(DAY, "model", "m", "f", "t", "p", 9, 1, 3)]


def test_what_is_refused_costs_nothing_and_the_rest_of_its_batch_does(scene):
    good, fenced, halted = scene.hold(3)
    fenced.epoch += 1
    scene.halt("run", str(halted.run))
    members = (
        Member(good, costs=[cost(1)]),
        Member(fenced, costs=[cost(2)]),
        Member(halted, intent=True, costs=[cost(3)]),
    )
    assert outcomes(scene.worker, *members) == ["appended", "fenced", "halted"]
    assert [len(rows(scene, held.run)) for held in (good, fenced, halted)] == [1, 0, 0]


def test_the_last_append_of_a_run_counts_too(scene):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, costs=[cost(4, kind="tool")], next=SUCCEED)) == ["appended"]
    assert [row[6] for row in rows(scene, held.run)] == [4]


def test_an_append_that_fails_adds_nothing(scene):
    [held] = scene.hold()
    try:
        outcomes(scene.worker, Member(held, costs=[cost(4, kind="nonsense")]))
    except psycopg.errors.CheckViolation:
        pass
    else:
        raise AssertionError("it was taken")
    assert (rows(scene, held.run), scene.row(held.run)["seq"]) == ([], held.seq)


def test_nobody_waits_for_the_rows_of_another_run_of_the_tenant(scene):
    held, other = scene.hold(2)
    assert outcomes(scene.worker, Member(held, costs=[cost(1)]), Member(other, costs=[cost(1)])) == ["appended"] * 2
    with scene.locked("ledger", "run = %s", held.run), scene.connect("holdfast_worker") as second:
        assert Aside(lambda: outcomes(second, Member(other, costs=[cost(1)]))).result() == ["appended"]
    assert [row[6] for row in rows(scene, other.run)] == [2]


def test_names_are_what_a_text_column_takes(scene):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, costs=[cost(1, name="模型 'x'; --", feature="ü")])) == ["appended"]
    assert [row[2:4] for row in rows(scene, held.run)] == [("模型 'x'; --", "ü")]
