"""What cannot work says so, typed, with what to do."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from embedded_processes import FAST, Holder, until_gone

from holdfast.embedded import (
    BinariesMissing,
    DataVersionMismatch,
    DirectoryNotUsable,
    EmbeddedUnavailable,
    StartFailed,
    acquire,
    status,
)


@pytest.mark.parametrize("name", ["with space", 'quote\'d "and" back\\slash', "a,comma", "ünïcode%20", "x" * 150])
def test_any_path_will_do(tmp_path, name):
    data_dir = tmp_path / name / "pg"
    with acquire(data_dir, settings=FAST) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create role someone login")
            connection.commit()
        with psycopg.connect(server.url(user="someone", database="postgres")) as connection:
            assert connection.execute("select current_user").fetchone() == ("someone",)
    until_gone(data_dir)


@pytest.mark.parametrize("name", ["with space", "x" * 150])
def test_any_open_path_will_do(name):
    """The same where the server's user can enter, and so is given the path itself."""
    base = Path(tempfile.mkdtemp(dir="/tmp"))
    base.chmod(0o755)
    try:
        with acquire(base / name / "pg", settings=FAST) as server, psycopg.connect(server.dsn) as connection:
            assert connection.execute("show data_directory").fetchone() == (str(base / name / "pg" / "data"),)
        until_gone(base / name / "pg")
    finally:
        shutil.rmtree(base)


def test_a_path_through_a_symlink_is_the_same_server(data_dir, tmp_path):
    with acquire(data_dir, settings=FAST) as server:
        (tmp_path / "link").symlink_to(data_dir)
        with acquire(tmp_path / "link") as same:
            assert same.dsn == server.dsn


def test_no_programs(data_dir, tmp_path):
    with pytest.raises(BinariesMissing, match="Set HOLDFAST_DATABASE_URL="):
        acquire(data_dir, bin_dir=tmp_path)


def test_no_programs_by_the_environment(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_EMBEDDED_BIN_DIR", str(tmp_path))
    with pytest.raises(BinariesMissing, match="HOLDFAST_DATABASE_URL"):
        acquire(data_dir)
    assert "HOLDFAST_DATABASE_URL" in status(data_dir).problems[0]


def test_programs_that_do_not_run_here(data_dir, tmp_path):
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_bytes(b"\x7fELF of another machine")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(BinariesMissing):
        acquire(data_dir, bin_dir=tmp_path)


def test_programs_too_old(data_dir, tmp_path):
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.11'\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(BinariesMissing, match=r"found: 14\.11"):
        acquire(data_dir, bin_dir=tmp_path)


def test_data_of_a_version_that_is_not_here(data_dir):
    with acquire(data_dir, settings=FAST):
        pass
    until_gone(data_dir)
    (data_dir / "data" / "PG_VERSION").write_text("13\n")
    with pytest.raises(DataVersionMismatch, match=r"made by PostgreSQL 13.*Install PostgreSQL 13"):
        acquire(data_dir)
    assert "PostgreSQL 13" in status(data_dir).problems[0]


def test_a_file_where_the_directory_should_be(tmp_path):
    (tmp_path / "pg").write_text("")
    with pytest.raises(DirectoryNotUsable):
        acquire(tmp_path / "pg")
    with pytest.raises(DirectoryNotUsable):
        acquire(tmp_path / "pg" / "below")


def test_an_unwritable_directory():
    """As an ordinary user: root may write anywhere."""
    if os.geteuid() != 0:
        with pytest.raises(DirectoryNotUsable, match="HOLDFAST_DATABASE_URL"):
            acquire(Path("/usr/lib/holdfast-test"))
        return
    holder = Holder(Path("/usr/lib/holdfast-test"), user="nobody")
    answer = holder.answer()
    holder.close()
    assert answer["error"] == "DirectoryNotUsable"
    assert "nobody may not use /usr/lib/holdfast-test" in answer["message"]
    assert "HOLDFAST_DATABASE_URL" in answer["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root; CI runs as root")
@pytest.mark.parametrize("size", ["4k", "8m"])
def test_a_full_disk(tmp_path, size):
    """No room even for the lock files, and no room for the data."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes=2000", "tmpfs", disk], check=True)
    try:
        with pytest.raises(DirectoryNotUsable, match="is full"):
            acquire(disk / "pg", settings=FAST)
        until_gone(disk / "pg")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_server_that_refuses_to_start_says_why(data_dir):
    with pytest.raises(StartFailed) as refused:
        acquire(data_dir, settings={"shared_buffers": "many"})
    assert 'invalid value for parameter "shared_buffers"' in refused.value.log_tail
    assert str(data_dir / "log" / "postgresql.log") in str(refused.value)
    with acquire(data_dir, settings=FAST) as server:  # and the next start is not harmed by it
        psycopg.connect(server.dsn).close()


def test_corrupt_data_says_why(data_dir):
    with acquire(data_dir, settings=FAST):
        pass
    until_gone(data_dir)
    (data_dir / "data" / "global" / "pg_control").unlink()
    with pytest.raises(StartFailed, match="ended instead of starting"):
        acquire(data_dir)


def test_every_refusal_is_one_type():
    for one in (BinariesMissing, DataVersionMismatch, DirectoryNotUsable, StartFailed):
        assert issubclass(one, EmbeddedUnavailable)
