"""Programs that some tests need and no package index has."""

import os
from pathlib import Path

import pytest

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER = Path("/usr/sbin/pgbouncer")
CHROMIUM = Path("/usr/bin/chromium")
OTHER_POSTGRES = "HOLDFAST_TESTS_POSTGRES"
"""The folder of another PostgreSQL's programs, to run tests on: `make test-postgres BIN_DIR=...`."""
LEAVE_NOTHING_OUT = "LEAVE_NOTHING_OUT"
"""Not `CI`, at which Hypothesis tries the same examples each time."""


def need(program: Path, installer: str) -> None:
    """Skip the test that runs where a program is missing; fail it in `.ci/run`, which installs them all."""
    if program.exists():
        return
    said = f"{program} is needed: run `bash .ci/{installer}`."
    if os.environ.get(LEAVE_NOTHING_OUT):
        pytest.fail(said)
    pytest.skip(said)


def need_postgres_15() -> None:
    need(POSTGRES_15 / "initdb", "install-postgres15")
