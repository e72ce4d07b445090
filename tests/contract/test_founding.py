"""A tenant with its first administrator and key, and a key with the end of the one it replaces: all or nothing."""

from uuid import UUID, uuid4

import psycopg
import pytest

from support.store_scene import TENANT

PLATFORM = UUID("00000000-0000-7000-8000-000000000000")
FOUND = "select holdfast.found_tenant(%s, 'acme', %s, 'Ada', %s, 'first', %s, 'me')"
KEY = "select holdfast.create_key(%s, %s, %s, 'k', %s, null, null, 'me', %s, %s)"


def rows(scene, tenant):
    return {
        table: scene.one(f"select count(*) from holdfast.{table} where tenant = %s", tenant)
        for table in ("principals", "memberships", "api_keys", "audit_log")
    }


def test_where_the_last_part_fails_nothing_is_left(scene):
    tenant = uuid4()
    with pytest.raises(psycopg.errors.NotNullViolation):
        scene.call(scene.api, PLATFORM, FOUND, tenant, uuid4(), uuid4(), None)
    assert scene.one("select count(*) from holdfast.tenants where id = %s", tenant) == 0
    assert set(rows(scene, tenant).values()) == {0}
    assert scene.one("select count(*) from holdfast.audit_log where tenant = %s", PLATFORM) == 0


def test_again_it_is_there_once(scene):
    """As an attempt does whose answer was lost."""
    given = [uuid4(), uuid4(), uuid4(), b"d"]
    answers = [scene.call(scene.api, PLATFORM, FOUND, *given)[0][0] for _ in range(2)]
    assert answers == ["created", "repeated"]
    assert rows(scene, given[0]) == {"principals": 1, "memberships": 1, "api_keys": 1, "audit_log": 3}
    assert scene.call(scene.api, PLATFORM, FOUND, uuid4(), uuid4(), uuid4(), b"e") == [("taken",)]


def test_it_leaves_the_scope_as_it_was(scene):
    with scene.api.transaction():
        scene.api.execute("select set_config('holdfast.tenant', %s, true)", [str(PLATFORM)])
        scene.api.execute(FOUND, [uuid4(), uuid4(), uuid4(), b"d"])
        assert scene.api.execute("select current_setting('holdfast.tenant')").fetchone() == (str(PLATFORM),)


def test_no_successor_is_made_of_a_key_that_has_ended(scene):
    [who] = scene.call(scene.api, TENANT, "select id from holdfast.principals where tenant = %s", TENANT)
    old, new = uuid4(), uuid4()
    assert scene.call(scene.api, TENANT, KEY, TENANT, old, who.id, b"a", None, None) == [("created",)]
    scene.call(scene.api, TENANT, "select holdfast.end_key(%s, %s, null, 'me')", TENANT, old)
    assert scene.call(scene.api, TENANT, KEY, TENANT, new, who.id, b"b", old, None) == [("ended",)]
    assert scene.one("select count(*) from holdfast.api_keys where id = %s", new) == 0
