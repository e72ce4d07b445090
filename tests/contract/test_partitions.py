"""Partitions: by month of the run's id, made ahead, secured like their parent, and no row is ever out of place."""

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from support.store_scene import Aside, Member, outcomes


def run_of(year, month, day=15):
    """A run's id as a client with that clock would make it."""
    ms = int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)
    return UUID(int=ms << 80 | 7 << 76 | 2 << 62 | day)


def partition_of(scene, run, table="events"):
    return scene.one(f"select tableoid::regclass::text from holdfast.{table} where run = %s limit 1", run)


def month_ahead(scene, months):
    return scene.one(
        "select to_char(holdfast.now() at time zone 'utc' + make_interval(months => %s), 'YYYYMM')", months
    )


def test_a_run_lies_in_its_month(scene):
    run = scene.accept()
    for table in ("events", "blobs"):
        assert partition_of(scene, run, table) == f"holdfast.{table}_{month_ahead(scene, 0)}"


def test_bounds_are_exact(scene):
    year, month = (int(month_ahead(scene, 1)[:4]), int(month_ahead(scene, 1)[4:]))
    first = UUID(int=int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000) << 80 | 7 << 76)
    last_before = UUID(int=(int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000) - 1) << 80 | (1 << 80) - 1)
    assert partition_of(scene, scene.accept(run=first)) == f"holdfast.events_{month_ahead(scene, 1)}"
    assert partition_of(scene, scene.accept(run=last_before)) == f"holdfast.events_{month_ahead(scene, 0)}"


@pytest.mark.parametrize("run", [run_of(1999, 1), run_of(2300, 1), UUID(int=0), UUID(int=2**128 - 1)])
def test_a_clock_set_wrong_loses_nothing(scene, run):
    assert scene.accept(run=run) == run
    assert partition_of(scene, run) == "holdfast.events_other"
    [claimed] = scene.claim(scene.register())
    assert claimed.id == run


def test_the_tick_makes_months_ahead(scene):
    assert scene.one("select to_regclass(%s)", f"holdfast.events_{month_ahead(scene, 2)}")
    assert not scene.one("select to_regclass(%s)", f"holdfast.events_{month_ahead(scene, 3)}")
    scene.move_clock(31 * 86_400)
    scene.tick()
    assert scene.one("select to_regclass(%s)", f"holdfast.events_{month_ahead(scene, 2)}")
    assert scene.worker.execute("select holdfast.ensure_partitions(2)").fetchone() == (0,)


def test_rows_of_a_month_that_was_not_there_move_when_it_is_made(scene):
    early = scene.accept(run=run_of(2031, 5))
    stays = scene.accept(run=run_of(2031, 7))
    with scene.database.as_owner() as owner:
        owner.execute("select holdfast.create_partition('events', '2031-05-01 00:00+00')")
        owner.execute("select holdfast.create_partition('blobs', '2031-05-01 00:00+00')")
    for table in ("events", "blobs"):
        assert partition_of(scene, early, table) == f"holdfast.{table}_203105"
        assert partition_of(scene, stays, table) == f"holdfast.{table}_other"
    secured = scene.admin.execute(
        "select relname from pg_class where relname in ('events_203105', 'blobs_203105', 'events_other', 'blobs_other')"
        " and relrowsecurity and relforcerowsecurity"
    ).fetchall()
    assert len(secured) == 4
    policies = scene.one("select count(*) from pg_policies where tablename in ('events_203105', 'blobs_203105')")
    assert policies == 2


def test_many_may_make_them_at_once(scene):
    def make():
        with scene.connect("holdfast_worker") as connection:
            return connection.execute("select holdfast.ensure_partitions(5)").fetchone()[0]

    assert sorted(job.result() for job in [Aside(make) for _ in range(3)]) == [0, 0, 6]


def test_a_reader_of_the_default_partition_delays_the_tick_not_for_long_and_fails_nothing(scene):
    scene.move_clock(31 * 86_400)
    with scene.connect("admin") as reader, reader.transaction():
        reader.execute("select count(*) from holdfast.events_other")
        assert scene.tick() == {}
    assert not scene.one("select to_regclass(%s)", f"holdfast.events_{month_ahead(scene, 2)}")
    scene.tick()
    assert scene.one("select to_regclass(%s)", f"holdfast.events_{month_ahead(scene, 2)}")


def test_reading_one_journal_looks_into_one_partition(scene):
    run = scene.accept()
    scene.worker.execute("set plan_cache_mode = force_generic_plan")
    plan = scene.call(
        scene.worker,
        UUID("00000000-0000-7000-8000-000000000001"),
        "explain (analyze, costs off, timing off, summary off)"
        " select * from holdfast.events where tenant = %s and run = %s",
        UUID("00000000-0000-7000-8000-000000000001"),
        run,
    )
    scans = [line for (line,) in plan if " on events_" in line and "never executed" not in line]
    assert len(scans) == 1, plan


def test_appends_go_on_while_a_month_is_made(scene):
    [held] = scene.hold()
    with scene.connect("admin") as admin:
        admin.execute("set role holdfast_owner")
        for month in range(1, 6):
            admin.execute(
                "select holdfast.create_partition('events', make_timestamptz(2040, %s, 1, 0, 0, 0, 'UTC'))", [month]
            )
            assert outcomes(scene.worker, Member(held)) == ["appended"]


def test_a_partition_named_directly_is_secured_too(scene):
    scene.accept()
    name = f"events_{month_ahead(scene, 0)}"
    scene.admin.execute(f"grant select on holdfast.{name} to holdfast_api")
    assert scene.api.execute(f"select count(*) from holdfast.{name}").fetchone() == (0,)


def test_the_making_function_is_not_for_logins(scene):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.worker.execute("select holdfast.create_partition('events', now())")
