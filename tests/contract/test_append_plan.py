"""A session plans the append once, maybe while the tables are empty: it must not go by an index that lists all runs."""

from support.store_scene import Member, outcomes

SCANS = "select coalesce(sum(idx_scan), 0) from pg_stat_user_indexes where indexrelname = %s"


def test_on_empty_statistics_an_append_looks_runs_up_by_their_key(scene):
    helds = scene.hold(3)
    before = {name: scene.one(SCANS, name) for name in ("runs_listed", "runs_pkey")}
    with scene.connect("holdfast_worker") as worker:
        assert outcomes(worker, *map(Member, helds)) == ["appended"] * 3
        worker.execute("select pg_stat_force_next_flush()")
        worker.execute("select 1")
    used = {name: scene.one(SCANS, name) - count for name, count in before.items()}
    assert used["runs_listed"] == 0
    assert used["runs_pkey"] >= 6, "each run is locked, and written"
