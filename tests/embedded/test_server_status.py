"""`status` tells what is, and changes nothing."""

import os
import signal
from pathlib import Path

from embedded_processes import FAST, supervisor_of, until

from holdfast.embedded import acquire, status


def test_of_a_directory_that_does_not_exist(tmp_path):
    seen = status(tmp_path / "none" / "pg")
    assert (seen.running, seen.pid, seen.supervisor_pid, seen.holders, seen.problems) == (False, None, None, (), ())
    assert not (tmp_path / "none").exists()


def test_of_a_running_server(data_dir, server):
    seen = status(data_dir)
    assert seen.running
    assert seen.problems == ()
    assert seen.holders == (os.getpid(),)
    assert seen.version == server.version
    assert seen.log.exists()
    assert Path(f"/proc/{seen.pid}/exe").readlink().name == "postgres"
    assert f"\nPPid:\t{seen.supervisor_pid}\n" in Path(f"/proc/{seen.pid}/status").read_text()


def test_of_a_server_that_cannot_come_back(data_dir):
    """It crashed and its data is gone: the reason is here and in the next acquire, and it heals when they do."""
    with acquire(data_dir, settings=FAST, start_timeout_s=20):
        control = data_dir / "data" / "global" / "pg_control"
        control.rename(data_dir / "pg_control")
        os.kill(status(data_dir).pid, signal.SIGKILL)
        problem = until(
            lambda: (found := status(data_dir).problems) and "ended instead" in found[0] and found[0], "why"
        )
        assert "pg_control" in problem
        assert not status(data_dir).running
        assert supervisor_of(data_dir)
        (data_dir / "pg_control").rename(control)
        until(lambda: status(data_dir).running, "the server came back")
