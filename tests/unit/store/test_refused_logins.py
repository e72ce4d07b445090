"""Which refusals of a connection pass, and which are for good."""

import psycopg
import pytest

from holdfast.store.errors import is_login_refused
from holdfast.store.patience import Patience

FULL = "FATAL: sorry, too many clients already"
RESERVED = "FATAL: remaining connection slots are reserved for roles with privileges"
UNKNOWN = 'FATAL: role "halt" does not exist'
NO_ENTRY = 'FATAL: no pg_hba.conf entry for host "::1", user "halt", no encryption'


@pytest.mark.parametrize(
    ("said", "for_good"),
    [
        (FULL, False),
        (RESERVED, False),
        ("FATAL: the database system is starting up", False),
        ("connection refused", False),
        (UNKNOWN, True),
        ('FATAL: password authentication failed for user "halt"', True),
        ('FATAL: permission denied for database "holdfast"', True),
        ('FATAL: role "holdfast_engine" is not permitted to log in', True),
        (NO_ENTRY, True),
        (f"{FULL}\n{NO_ENTRY}", False),
    ],
)
def test_what_passes_is_waited_for(said, for_good):
    assert is_login_refused(psycopg.OperationalError(said)) is for_good


async def test_each_reason_is_told_once():
    told, said = list[str](), [FULL, RESERVED, FULL, RESERVED, FULL]

    async def connect() -> str:
        if said:
            raise psycopg.OperationalError(said.pop())
        return "in"

    assert await Patience(60, told.append).connected(connect) == "in"
    assert told == [FULL, RESERVED]
