"""The campaign watches itself fail: with one condition taken out of one query, it finds the leak."""

import psycopg
import pytest
import uvloop
from leak_campaign import Leak
from leak_scene import campaign_on

from holdfast.store import pool
from holdfast.store.query import in_scope

REQUESTS = 2_000
UNTIL_FOUND = 10_000
"""Of many routes few ask a given query."""
SABOTAGE = {
    "others' runs": ("get_run", b"or %(only)s in (r.principal, r.requested_by)", b"or true"),
    "others' keys": ("list_keys", b"k.principal = %(principal)s", b"true"),
    "another tenant's runs": ("list_runs", b"where tenant = %(tenant)s", b"where %(tenant)s::uuid is not null"),
    "another tenant's names": (
        "list_principals",
        b"where p.tenant = %(tenant)s",
        b"where %(tenant)s::uuid is not null",
    ),
}


def sabotage(monkeypatch, swaps):
    """Have the pool ask other queries, by name: with one text in them instead of another."""

    def query(name: str) -> bytes:
        text = asked(name)
        for right, wrong in [swaps[name]] if name in swaps else []:
            assert right in text
            text = text.replace(right, wrong)
        return text

    asked = pool.query
    monkeypatch.setattr(pool, "query", query)
    monkeypatch.setattr(
        pool, "scoped", lambda tenant, name, given: (in_scope(query(name)), {**given, "scoped_to": tenant})
    )


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_condition_less_is_found(database, monkeypatch, what):
    name, *swap = SABOTAGE[what]
    sabotage(monkeypatch, {name: swap})
    if "tenant" in what:  # where the query forgets the tenant, the policies still hold: both have to be gone
        with psycopg.connect(database.admin_url) as connection:
            for table in ("runs", "principals", "memberships"):
                connection.execute(f"alter table holdfast.{table} disable row level security")
    with pytest.raises(Leak):
        uvloop.run(campaign_on(database, UNTIL_FOUND))


def test_a_query_that_forgets_the_tenant_leaks_nothing_while_the_policies_hold(database, monkeypatch):
    forgets = {name: swap for name, *swap in SABOTAGE.values() if b"tenant" in swap[0]}
    sabotage(monkeypatch, forgets)
    assert len(forgets) == 2
    uvloop.run(campaign_on(database, REQUESTS))
