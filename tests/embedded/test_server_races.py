"""Many at once: starters, and the newcomer who meets the last one leaving."""

import random
import signal

import psycopg
from embedded_processes import FAST, Holder, servers_on, until_gone

from holdfast.embedded import acquire, status


def test_twenty_processes_start_one_server(data_dir, hold):
    holders = [hold() for _ in range(20)]
    pids = {holder.answer()["pid"] for holder in holders}
    assert len(pids) == 1
    assert len(status(data_dir).holders) == 20
    postmasters = (data_dir / "log/postgresql.log").read_text().count("starting PostgreSQL")
    assert postmasters == 1
    for holder in holders:
        holder.kill()
    until_gone(data_dir)


def test_a_newcomer_meets_the_last_one_leaving(data_dir, hold):
    """Release and acquire at the same moment, again and again: the newcomer's server stays."""
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table rounds (n int)")
    seed = 20
    dice = random.Random(seed)
    last = hold()
    last.answer()
    for count in range(25):
        arriving = Holder(data_dir) if dice.random() < 0.5 else None
        if dice.random() < 0.5:
            last.kill()
        else:
            last.process.stdin.close()
        arriving = arriving or Holder(data_dir)
        try:
            dsn = arriving.answer()["dsn"]
            with psycopg.connect(dsn) as connection:
                connection.execute("insert into rounds values (%s)", (count,))
                assert connection.execute("select count(*) from rounds").fetchone() == (count + 1,), seed
        finally:
            last.close()
            last = arriving
    last.close()
    until_gone(data_dir)


def test_release_and_acquire_within_one_process(data_dir):
    """The tightest form: the stop begins in the very moment the next call looks."""
    for _ in range(25):
        server = acquire(data_dir, settings=FAST)
        with psycopg.connect(server.dsn) as connection:
            connection.execute("select 1")
        server.release()
    until_gone(data_dir)


def test_a_killed_starter_does_not_stop_the_others(data_dir, hold):
    """Whoever waits behind a starter that dies gets the server all the same."""
    holders = [hold() for _ in range(4)]
    holders[0].process.send_signal(signal.SIGKILL)
    pids = {holder.answer()["pid"] for holder in holders[1:]}
    assert len(pids) == 1
    assert len([pid for pid in servers_on(data_dir) if pid in pids]) == 1
