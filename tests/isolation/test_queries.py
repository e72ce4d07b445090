"""Every named query of the store, with another tenant's ids: run as each login, it shows and changes nothing of theirs.

The queries come from the folder, and their parameters are filled by name: one with a parameter that has no value here
fails the suite.
"""

import re
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from uuid import UUID, uuid4

import psycopg
import pytest
from leak_rows import rows_of
from psycopg.types.json import Jsonb
from two_tenants import DIGEST, LOGINS, SESSION, Two

from holdfast.store.query import scoped
from support.store_scene import AT

QUERIES = {
    path.name.removesuffix(".sql"): path.read_text()
    for path in (files("holdfast.store") / "queries").iterdir()
    if path.name.endswith(".sql")
}
NOT_A_TENANTS = {
    "append", "claim_runs", "release_runs", "renew_lease", "leave", "register_worker", "tick",
    "begin_tenant", "session_settings", "schema_version", "check_login", "may_carry", "notify",
    "live_no_wait", "begin_snapshot", "tenant_tables", "find_tenant", "list_tenants", "found_tenant",
    "find_identity", "watch_halts", "expire_halts", "platform_halts",
    "tell_alerts", "sweep_windows", "halt_reserve",
}  # fmt: skip
"""Those without a tenant's id: functions of the engine's and the platform's, the one that finds a tenant by its name
(test_functions.py has them), and settings of a session."""
NEW = uuid4()
NOBODY = UUID(int=3)


def parameters(of, tenant: UUID) -> dict:
    return {
        "tenant": tenant, "run": of.run, "runs": [of.run, of.queued], "approval": of.task,
        "session": of.session, "first": 1, "last": 1, "messages": [], "in_force": False,
        "principal": of.principal, "key": of.key if tenant else None, "digest": of.key_digest,
        "digests": [DIGEST, DIGEST], "ids": [of.principal], "id": None, "only": None, "after": None, "name": None,
        "subject": "s", "issuer": "issuer", "scope": "scope", "request": of.mark.encode(), "kek": "another",
        "wrapped": b"w", "task": None, "state": None, "before_at": None, "before_id": None, "after_at": None,
        "after_id": None, "limit": 100, "seqs": [1, 1], "seq": 1, "attempts": [1, 1], "parts": [0, 0], "starts": [0, 0],
        "kinds": ["text", "text"], "bodies": [b"x", b"x"], "lengths": [1, 1], "firsts": [0, 0], "lasts": [9, 9],
        "older_than_s": -1.0, "upto": 99, "seen_seqs": [], "seen_attempts": [], "seen_parts": [], "seen_offsets": [],
        "kind": "message", "body": "{}", "content": b"x", "dedupe": "dedupe", "by": "me", "at": AT,
        "verdict": "approved", "role": "auditor", "roles": ["auditor"], "disabled": True, "email": None,
        "scopes": None, "expires_at": None,
        "actor": "me", "action": "what", "target": "x", "details": "{}", "reason": "why", "task_version": "1",
        "parent": None, "priority": 0, "hash": b"h" * 32, "new": uuid4(),
        "newcomer_s": 0.0, "via": None, "mine": False, "ask": None, "tool": None,
        "issued_at": datetime.now(UTC) + timedelta(days=1), "content_digest": b"x",
        "worker": of.held.worker, "epoch": of.held.epoch, "created_at": AT, "suspended": True, "evidence": "{}",
        "authority": 3, "for_s": None, "halt": of.halt, "names": "[]",
        "heads": "h", "count": 1,
        "called": None, "owner": None, "each": 9, "step": None, "attempt": None, "time_zone": "UTC",
        "put": Jsonb({"steps": 9}), "drop": None, "ceilings": Jsonb({}),
    }  # fmt: skip


SPECIAL = {
    "list_keys": {"id": None, "principal": None},
    "read_events": {"after": 0},
    "read_inbox": {"after": 0},
    "read_run_blobs": {"after": b""},
    "accepted_before": {"key": "idem"},
    "accept_run": {"key": "idem2", "principal": "p", "task": "t"},
    "decide_approval": {"digest": "shown"},
    "list_approvals": {"role": None},
    "list_runs": {"session": None},
    "list_own_runs": {"session": None},
    "list_session_runs": {"session": SESSION},
    "invalidate": {"digest": b"d", "reason": b"r", "id": NEW},
    "lift_invalidation": {"digest": b"d", "reason": b"r", "id": NEW},
    "create_session": {"principal": "p"},
    "read_tallies": {"key": "effect", "names": ["spent"], "owners": ["p"], "since": [AT]},
    "read_costs": {"by": ["model", "user"], "since": date(2026, 1, 1), "until": date(2999, 1, 1)},
    "costly_runs": {"since": date(2026, 1, 1), "until": date(2999, 1, 1)},
    "set_quotas": {"principals": 1, "runs": 1, "bytes": 1, "only": None},
    "begin_import": {"name": "another"},
    "import_rows": {"table": "sessions", "rows": "[]"},
    "declare_halt": {"scope": "run", "key": "x", "id": NEW},
    "set_budget": {"scope": "tenant", "key": "", "unit": "requests", "per": "day", "amount": 9, "id": NEW},
    "raise_budget": {"owner": "", "more": 9, "key": "raise"},
    "correct_reservation": {"step": "#1", "attempt": 1, "usd": 1, "tokens": 1, "requests": 1},
    "budget_pressure": {"feature": "TAINTB", "models": []},
    "set_time_zone": {"zone": "Europe/Berlin"},
    "halt_tenant": {"id": NEW},
    "lift_halt": {"id": NEW},
    "create_principal": {"kind": "person", "name": "Another", "key": "idem3"},
    "create_key": {"name": "k", "id": NEW, "key": "idem4", "replaces": None, "overlap_until": None},
    "log_in": {"kind": "person", "name": "Another"},
}
"""Where a name means something else, or a value is needed."""
BY_BUDGET = {
    "list_budgets", "list_current_windows", "list_budget_windows", "list_holdings", "list_overruns",
    "list_budget_alerts", "end_budget", "raise_budget",
}  # fmt: skip


def filled(name: str, of, tenant: UUID) -> dict:
    wanted = set(re.findall(r"%\((\w+)\)s", QUERIES[name]))
    known = parameters(of, tenant) | SPECIAL.get(name, {})
    if name in BY_BUDGET:
        known |= {"id": of.budget, "ids": [of.budget]}
    if name.startswith("read_approval_"):
        known["approval"] = of.voted
    missing = wanted - known.keys()
    assert not missing, (
        f"queries/{name}.sql has parameters that tests/isolation/test_queries.py does not know: {missing}"
    )
    return {one: known[one] for one in wanted}


def ask(two: Two, login: str, scope: UUID | None, name: str, given: dict, *, at_once: bool = False):
    """Rows, or the text of the error that refused. `at_once`: the scope in the same statement."""
    with psycopg.connect(two.scene.database.url_of(login)) as connection:
        if scope is not None and not at_once:
            connection.execute("select set_config('holdfast.tenant', %s, true)", [str(scope)])
        try:
            if at_once:
                cursor = connection.execute(*scoped(scope, name, given))
            else:
                cursor = connection.execute(QUERIES[name], given)
            return cursor.fetchall() if cursor.description else cursor.rowcount
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState) as error:
            connection.rollback()
            return str(error)


def test_those_without_a_tenant_are_the_ones_named_here():
    assert {name for name, text in QUERIES.items() if "%(tenant)s" not in text} == NOT_A_TENANTS


SETS_SCOPE = {"set_tenant", "accept_run"}
"""These set the tenant they name: the scope itself, which whoever can run SQL chooses (test_attacker.py)."""
ECHOES = {"append_fates", "accepted_before"}
"""These name the run that was asked about."""


ANSWERS = {name for name, text in QUERIES.items() if re.match(r"(--.*\n)*(select|with)\b", text)}
"""Those that `Database.fetch` takes with a tenant: they answer with rows."""


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("at_once", [False, True], ids=["scope before", "scope in the statement"])
def test_no_query_shows_or_changes_anything_of_another_tenant(two, login, at_once):
    before = rows_of(two.scene.admin, two.b.id)
    names = QUERIES.keys() - NOT_A_TENANTS - SETS_SCOPE
    # Those that create come last: they make the other's ids one's own.
    for name in sorted(
        names & ANSWERS if at_once else names, key=lambda one: one.startswith(("create", "accept_run", "log_in"))
    ):
        for scope, said in ((two.a.id, two.b.id), (None, two.b.id), (NOBODY, two.b.id), (two.a.id, two.a.id)):
            if at_once and scope is None:
                continue
            answer = ask(two, login, scope, name, filled(name, two.b, said), at_once=at_once)
            echoed = {str(two.b.run), str(two.b.queued)} if name in ECHOES else set()
            shown = [what for what in two.b.shows([answer]) if what not in echoed]
            assert shown == [], f"{name} in {scope} asking of {said}: {answer}"
        assert rows_of(two.scene.admin, two.b.id) == before, name


def test_the_same_queries_do_show_it_to_its_own_tenant(two):
    """Else the test above would prove nothing."""
    reads = sorted(
        name for name in QUERIES.keys() - NOT_A_TENANTS if name.startswith(("get_", "list_", "read_", "find_", "names"))
    )
    blind = []
    for name in reads:
        given = filled(name, two.b, two.b.id) | ({"only": str(two.b.principal)} if "own" in name else {})
        answer = ask(two, "holdfast_api", two.b.id, name, given)
        if not answer or two.b.shows([answer]) == []:
            blind.append(name)
    assert blind == ["get_time_zone", "read_tallies"], "they answer with nothing that is marked"


@pytest.mark.parametrize("scope", ["its own", "another's"])
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_the_scope_is_set_before_anything_else_of_the_statement(two, mode, scope):
    """Of every query, with a plan for these values and with one for any, the outermost node asks for it first."""
    wanted = QUERIES.keys() & ANSWERS - NOT_A_TENANTS - SETS_SCOPE
    tenant = two.b.id if scope == "its own" else two.a.id
    planned = {name for login in LOGINS for name in wanted if sets_its_scope_first(two, login, mode, name, tenant)}
    assert planned == wanted


def sets_its_scope_first(two: Two, login: str, mode: str, name: str, scope: UUID) -> bool:
    """False where this login may not ask."""
    text, given = scoped(scope, name, filled(name, two.b, two.b.id))
    with psycopg.connect(two.scene.database.url_of(login), options=f"-c plan_cache_mode={mode}") as connection:
        try:
            [[[explained]]] = connection.execute(
                b"explain (format json, verbose) " + text, given, prepare=True
            ).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            return False
    top = explained["Plan"]
    [setting] = [node for node in top["Plans"] if "Subplan Name" in node]
    assert (top["Node Type"], setting["Node Type"], setting["Parent Relationship"]) == ("Result", "Result", "InitPlan")
    assert top["One-Time Filter"] in ("((InitPlan 1).col1 IS NOT NULL)", "($0 IS NOT NULL)"), name
    assert setting["Output"][0].startswith("set_config('holdfast.tenant'"), name
    return True


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_a_query_that_sets_its_scope_answers_as_in_that_scope(two, mode):
    reads = [
        name
        for name in sorted(QUERIES.keys() & ANSWERS - NOT_A_TENANTS)
        if name.startswith(("get_", "list_", "read_", "find_", "names", "check_", "stored_")) and name != "read_tallies"
    ]
    answered = 0
    url = two.scene.database.url_of("holdfast_api")
    with psycopg.connect(url, autocommit=True, options=f"-c plan_cache_mode={mode}") as connection:
        for name in reads:
            given = filled(name, two.b, two.b.id)
            answer = connection.execute(*scoped(two.b.id, name, given), prepare=True).fetchall()
            assert connection.execute("select current_setting('holdfast.tenant')").fetchone() == ("",), name
            assert timeless(answer) == timeless(ask(two, "holdfast_api", two.b.id, name, given)), name
            answered += bool(answer)
    assert answered > len(reads) * 0.8


def timeless(rows) -> list[str]:
    """Some tell the time at which they were asked, and some are in no order."""
    return sorted(str([None if isinstance(one, datetime) else one for one in row]) for row in rows)
