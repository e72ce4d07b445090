"""As root, as an ordinary user, and both on one directory. These tests change users: they need root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from embedded_processes import FAST, alive, servers_on, until, until_gone

from holdfast.embedded import DirectoryNotUsable, acquire, status

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing the OS user needs root; CI runs as root")


@pytest.fixture
def open_dir():
    """A directory every user can reach: pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def nobodys(open_dir):
    project = open_dir / "project"
    project.mkdir()
    shutil.chown(project, "nobody", "nogroup")
    yield project / ".holdfast" / "pg"
    until_gone(project / ".holdfast" / "pg")


def owners_of_servers(data_dir: Path) -> set[str]:
    return {pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name for pid in servers_on(data_dir)}


@as_root
def test_root_runs_it_as_the_service_user_below_a_closed_directory(data_dir):
    """pytest's temporary directories are root's alone, as /root is: the server's user cannot pass them."""
    assert any(not at.stat().st_mode & 0o005 for at in data_dir.parents)
    modes = [at.stat().st_mode for at in data_dir.parents]
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert owners_of_servers(data_dir) == {"holdfast-pg"}
    assert [at.stat().st_mode for at in data_dir.parents] == modes, "a closed directory was opened"


@as_root
def test_root_runs_it_in_an_open_directory(open_dir):
    data_dir = open_dir / "pg"
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        assert owners_of_servers(data_dir) == {"holdfast-pg"}
        assert connection.execute("show data_directory").fetchone() == (str(data_dir / "data"),)
        assert status(data_dir).socket_dir == data_dir / "run"
    until_gone(data_dir)


@as_root
def test_root_with_programs_below_a_closed_directory(data_dir, tmp_path):
    """The virtual environment is in root's home: the server's user cannot run its programs in place."""
    from holdfast.embedded.binaries import find

    here = find(data_dir / "data").bin_dir.parents[1]
    closed = tmp_path / "closed" / here.name
    unneeded = shutil.ignore_patterns("include", "*.a", "pginstall")
    shutil.copytree(here, closed, symlinks=True, ignore=unneeded)
    shutil.copytree(f"{here}.libs", f"{closed}.libs")
    closed.parent.chmod(0o700)
    staged = set(Path("/var/cache/holdfast").glob("*"))
    try:
        with acquire(data_dir, settings=FAST, bin_dir=closed / "pginstall18" / "bin") as server:
            psycopg.connect(server.dsn).close()
    finally:
        for made in set(Path("/var/cache/holdfast").glob("*")) - staged:
            shutil.rmtree(made)


@as_root
def test_an_ordinary_user_runs_it_as_itself(nobodys, hold):
    holder = hold(nobodys, user="nobody")
    assert "pid" in holder.answer()
    assert owners_of_servers(nobodys) == {"nobody"}


@as_root
def test_root_shares_an_ordinary_users_server_and_keeps_it_alive(nobodys, hold):
    holder = hold(nobodys, user="nobody")
    pid = holder.answer()["pid"]
    with acquire(nobodys) as server:
        holder.close()
        assert status(nobodys).pid == pid
        with psycopg.connect(server.dsn) as connection:
            connection.execute("select 1")
    until(lambda: not alive(pid), "the server stopped")


@as_root
def test_roots_start_in_a_users_project_leaves_a_server_the_user_can_use(nobodys, hold):
    with acquire(nobodys, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
        assert owners_of_servers(nobodys) == {"nobody"}
    until_gone(nobodys)
    holder = hold(nobodys, user="nobody")
    assert "pid" in holder.answer()


def shared_with_group(nobodys: Path) -> None:
    """What an operator does to share: the directory belongs to a group and is rwx for it."""
    nobodys.mkdir(parents=True)
    shutil.chown(nobodys.parent, "nobody", "nogroup")
    shutil.chown(nobodys, "nobody", "nogroup")
    nobodys.chmod(0o770)


OTHER_UID = 61234  # a second ordinary user of the group; its number needs no name


@as_root
def test_two_ordinary_users_share_where_the_operator_chose_so(nobodys, hold):
    shared_with_group(nobodys)
    first = hold(nobodys, user="nobody")
    pid = first.answer()["pid"]
    second = hold(nobodys, user=OTHER_UID)
    answer = second.answer()
    assert answer.get("pid") == pid, answer
    first.close()  # the one who started it leaves; the other still has it
    with psycopg.connect(answer["dsn"]) as connection:
        connection.execute("select 1")
    assert alive(pid)
    second.close()
    until(lambda: not alive(pid), "the server stopped")


@as_root
def test_another_user_cannot_start_what_is_not_its_own(nobodys, hold):
    shared_with_group(nobodys)
    first = hold(nobodys, user="nobody")
    first.answer()
    first.close()
    until_gone(nobodys)
    second = hold(nobodys, user=OTHER_UID)
    answer = second.answer()
    second.close()
    assert answer["error"] == "DirectoryNotUsable"
    assert "belongs to nobody" in answer["message"]
    assert "as nobody or as root" in answer["message"]


@as_root
def test_another_user_is_refused_where_the_operator_did_not(nobodys, hold):
    first = hold(nobodys, user="nobody")
    first.answer()
    second = hold(nobodys, user=OTHER_UID)
    answer = second.answer()
    second.close()
    first.close()
    assert answer["error"] == "DirectoryNotUsable"
    assert "belongs to nobody" in answer["message"]
    assert "HOLDFAST_DATABASE_URL" in answer["message"]


@as_root
def test_kill_of_everyone_but_the_server_leaves_none_of_the_users_either(nobodys, hold):
    """The kernel's death signal survives the change of user."""
    holder = hold(nobodys, user="nobody")
    pid = holder.answer()["pid"]
    supervisor = status(nobodys).supervisor_pid
    os.kill(supervisor, 9)
    holder.kill()
    holder.close()
    until(lambda: not alive(pid), "the server died with its supervisor")


@as_root
def test_data_given_to_root_is_refused(data_dir):
    with acquire(data_dir, settings=FAST):
        pass
    until_gone(data_dir)
    subprocess.run(["chown", "-R", "root", data_dir], check=True)
    with pytest.raises(DirectoryNotUsable, match="belongs to root"):
        acquire(data_dir)
