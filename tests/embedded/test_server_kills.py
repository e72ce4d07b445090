"""`kill -9` of anyone, in every combination: no orphan, and the next acquire has the committed data."""

import contextlib
import itertools
import os
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
from embedded_processes import FAST, alive, postmaster_of, supervisor_of, until, until_another_runs, until_gone

from holdfast.embedded import acquire

VICTIMS = ("holder", "supervisor", "postmaster")
COMBINATIONS = [
    order
    for count in (1, 2, 3)
    for chosen in itertools.combinations(VICTIMS, count)
    for order in itertools.permutations(chosen)
]


@pytest.mark.parametrize("order", COMBINATIONS, ids="+".join)
def test_the_only_holder_with_others(data_dir, hold, order):
    """The victims die in this order at once; the holder, if not among them, is killed at the end."""
    holder = hold()
    dsn = holder.answer()["dsn"]
    with psycopg.connect(dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    pids = {
        "holder": holder.process.pid,
        "supervisor": supervisor_of(data_dir),
        "postmaster": postmaster_of(data_dir),
    }
    for victim in order:
        with contextlib.suppress(ProcessLookupError):  # it may have died with one before it
            os.kill(pids[victim], signal.SIGKILL)
    if "holder" in order:
        until_gone(data_dir)
    for victim in order:
        until(lambda pid=pids[victim]: not alive(pid), f"{victim} died")
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
    holder.kill()
    until_gone(data_dir)


@pytest.mark.parametrize("victims", [("supervisor",), ("postmaster",), ("supervisor", "postmaster")], ids="+".join)
def test_a_holder_gets_its_server_back_without_doing_anything(data_dir, server, victims):
    with psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    pids = {"supervisor": supervisor_of(data_dir), "postmaster": postmaster_of(data_dir)}
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[victim], signal.SIGKILL)
    until(lambda: not any(alive(pids[victim]) for victim in victims), "the victims died")
    until_another_runs(data_dir, pids["postmaster"])
    with psycopg.connect(server.dsn) as connection:  # the same dsn: holders' pools reconnect by themselves
        assert connection.execute("select answer from kept").fetchone() == (42,)
        assert connection.execute("select current_setting('max_connections')").fetchone() == ("20",)


def test_a_supervisor_in_the_middle_of_dying_is_not_taken_for_alive(data_dir, server):
    """Its end of file comes before its lock is free, or after: once in three the naive watch slept for ever."""
    for _ in range(12):
        supervisor, postmaster = supervisor_of(data_dir), postmaster_of(data_dir)
        os.kill(supervisor, signal.SIGKILL)
        until_another_runs(data_dir, postmaster)


def test_the_second_holder_survives_the_first_and_the_supervisor(data_dir, hold):
    """The one who started it dies together with the supervisor; the other re-establishes both."""
    first = hold()
    first.answer()
    second = hold()
    dsn = second.answer()["dsn"]
    supervisor, postmaster = supervisor_of(data_dir), postmaster_of(data_dir)
    os.kill(supervisor, signal.SIGKILL)
    first.kill()
    until_another_runs(data_dir, postmaster)
    with psycopg.connect(dsn) as connection:
        connection.execute("select 1")
    assert supervisor_of(data_dir) != supervisor
    second.release()
    until_gone(data_dir)


def test_a_supervisor_told_to_stop_stops_its_server(data_dir, hold):
    """SIGTERM to everything (a machine shutting down) is a clean stop."""
    holder = hold()
    holder.answer()
    supervisor = supervisor_of(data_dir)
    os.kill(holder.process.pid, signal.SIGSTOP)  # it cannot put a new one in place
    os.kill(supervisor, signal.SIGTERM)
    until_gone(data_dir)
    os.kill(holder.process.pid, signal.SIGCONT)
    postmaster_of(data_dir)


@pytest.mark.parametrize("whose", ["nobody's", "a stranger's"])
def test_a_stale_pid_file_after_a_machine_crash(data_dir, whose):
    """A postmaster.pid whose pid is free, or has come again as another process of the server's user."""
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    until_gone(data_dir)
    owner = (data_dir / "data").stat()
    drop = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "600"], cwd="/", **drop)
    if whose == "nobody's":
        stranger.kill()
        stranger.wait()
    pid_file = data_dir / "data" / "postmaster.pid"
    pid_file.write_text(f"{stranger.pid}\n{data_dir}/data\n1700000000\n5432\n\n\n  1 1\nready   \n")
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    try:
        with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
            assert connection.execute("select answer from kept").fetchone() == (42,)
        assert whose == "nobody's" or alive(stranger.pid), "a stranger with the same pid was killed"
    finally:
        stranger.kill()
        stranger.wait()


def test_killed_during_its_first_start(data_dir, hold):
    """The half-made data of an initdb that was killed is not taken for data."""
    holder = hold()
    until(lambda: list(data_dir.glob("data.new-*/base")), "initdb is at work")
    supervisor = until(lambda: _locker(data_dir / "supervisor.lock"), "the supervisor has its lock")
    os.kill(supervisor, signal.SIGKILL)
    holder.kill()
    until_gone(data_dir)
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("select 1")
    assert not list(data_dir.glob("data.new-*"))


def _locker(path: Path) -> int | None:
    at = path.stat()
    for line in Path("/proc/locks").read_text().splitlines():
        field = line.split()
        if field[1:4:2] == ["FLOCK", "WRITE"] and field[5].endswith(f":{at.st_ino}"):
            return int(field[4])
    return None
