"""A session plans the append once, maybe while the tables are empty: it must not go by an index that lists all runs."""

from support.store_scene import TENANT, Member, outcomes

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


def test_of_many_budgets_a_step_reads_those_that_it_counts_towards(scene):
    with scene.admin.cursor() as cursor:
        cursor.execute(
            "insert into holdfast.budgets (tenant, id, scope, key, unit, per, amount, created_at, created_by,"
            " changed_at, changed_by)"
            " select %s, gen_random_uuid(), 'user', n::text, 'usd', 'day', 1, now(), 'me', now(), 'me'"
            " from generate_series(1, 20000) as n",
            [TENANT],
        )
        cursor.execute("analyze holdfast.budgets")
    spending = {"what": "reserve", "step": "#1", "attempt": 1, "feature": "", "usd": 1, "tokens": 0, "requests": 1,
                "no_usd": False, "no_tokens": False, "models": [{"model": "gpt", "provider": "openai"}]}  # fmt: skip
    [held] = scene.hold()
    read = "select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'budgets'"
    before = scene.one(read)
    with scene.connect("holdfast_worker") as worker:
        assert outcomes(worker, Member(held, budgets=[spending])) == ["appended"]
        worker.execute("select pg_stat_force_next_flush()")
        worker.execute("select 1")
    assert scene.one(read) - before < 100
