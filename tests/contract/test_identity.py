"""What changes identities, one change at a time in a tenant."""

from uuid import uuid4

from support.store_scene import TENANT, Aside

CREATE = "select holdfast.create_principal(%s, %s, 'person', %s, null, array['admin'], 'test')"
REVOKE = "select holdfast.revoke_role(%s, %s, 'admin', 'test')"


def test_two_administrators_cannot_each_take_the_others_role(scene):
    """The second waits for the first, and is then the last."""
    scene.call(scene.api, TENANT, CREATE, TENANT, (ann := uuid4()), "Ann")
    [(local,)] = scene.admin.execute("select id from holdfast.principals where name = 'local'").fetchall()
    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_api") as quick:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        assert slow.execute(REVOKE, [TENANT, ann]).fetchone() == ("changed",)
        waiting = Aside(lambda: scene.call(quick, TENANT, REVOKE, TENANT, local))
        scene.until_waiting(quick)
        slow.execute("commit")
        [answer] = waiting.result()
        assert tuple(answer) == ("last_admin",)
