"""Rules of the store broken on purpose, in a database of their own. A simulation that cannot fail proves nothing."""

import psycopg

SABOTAGE: dict[str, tuple[str, str, str]] = {
    "an append does not look whether the run is being cancelled": (
        "append",
        "when m_flags[m] & 1 = 1 and r.cancelling then 'cancelled'",
        "",
    ),
    "a run may park with signals it has not folded in": (
        "append",
        "when next_state[m] is not null and r.inbox_seq <> m_folded[m] then 'signalled'",
        "",
    ),
    "the fence does not compare the epoch": ("append", "or r.epoch <> m_epoch[m]", ""),
    "the fence does not compare the worker": ("append", "or r.worker <> m_worker[m]", ""),
    "the fence does not compare the sequence nor the head": (
        "append",
        "or r.seq <> m_seq[m]\n          or r.head <> m_head[m]",
        "",
    ),
    "a halt of a task is overlooked": ("is_halted", "(h.scope = 'task' and h.key = p_task) or", ""),
    "changed rights are overlooked": ("append", "when m_flags[m] & 1 = 1 and r.stale then 'stale'", ""),
    "facts too wait for rights": ("append", "when m_flags[m] & 1 = 1 and r.stale", "when r.stale"),
    "a halt of a session is overlooked": ("is_halted", "(h.scope = 'session' and h.key = p_session::text) or", ""),
    "nobody is asked for names": ("held_back", "p_names is null and exists", "false and exists"),
    "a lifted halt is not told": ("end_halt", "set stale = true", "set stale = r.stale"),
    "a halt that was heard of is believed": (
        "append",
        "when coalesce(next_unsure[m], false) and not is_halted",
        "when false and is_halted",
    ),
    "halted runs are given to workers": ("claim_runs", "continue when found;\n      end if;", "end if;"),
    "anyone may lift a halt": ("lift_halt", "found_one.authority > p_authority", "false"),
    "halts end early": ("expire_halts", "h.expires_at <= holdfast.now()", "h.expires_at is not null"),
    "a signal wakes nobody": (
        "deliver_signal",
        "case when r.state = 'parked' then 'queued' else r.state end",
        "r.state",
    ),
    "a claim keeps the epoch": ("claim_runs", "epoch = r.epoch + 1", "epoch = r.epoch"),
    "a worker without a lease may claim": ("claim_runs", "not is_alive(p_worker, moment)", "false"),
    "a lease that expired is renewed": ("renew_lease", "and w.lease_until > moment", ""),
    "a task can be decided twice": ("decide_approval", "task.state <> 'pending'", "false"),
    "cancelling refuses facts too": ("append", "when m_flags[m] & 1 = 1 and r.cancelling", "when r.cancelling"),
    "progress does not count": ("append", "m_flags[m] & 2 = 2 or", ""),
    "the end of a run leaves its approvals pending": ("append_rare", "and a.kind <> 'in_doubt'", "and a.kind = 'x'"),
    "a repeated signal is delivered again": ("deliver_signal", "and s.dedupe = p_dedupe", "and s.dedupe <> s.dedupe"),
    "a hand-over counts as a failed attempt": ("release_runs", "greatest(r.claims - 1, 0)", "r.claims"),
    "anyone may release a run": ("release_runs", "and r.worker = p_worker", ""),
    "the living are rescued": (
        "tick_rescue",
        "with recursive holder",
        "moment := moment + interval '90 minutes'; with recursive holder",
    ),
    "timers go off early": ("tick_wake", "r.wake_at <= moment", "r.wake_at is not null"),
    "a divergence is unparked": ("tick_code", "r.unserved and r.task", "r.waiting_on = 'code' and r.task"),
    "tenants do not take turns": ("claimable", "order by t.turn, t.queued_at", "order by t.queued_at"),
    "priority is overlooked": ("claimable", "w.priority desc, w.queued_at", "w.queued_at"),
    "a run that kills its workers is queued again": ("tick_rescue", "r.claims >= 3", "false"),
}
"""what is wrong → (function, the text that is taken out, the text in its place)"""

_PARKED, _FOR_A_HALT = "r.state = 'parked'", " and r.waiting_on = 'halt'"
_OF_IT = " and (h.scope = 'everything' or r.tenant = h.tenant)\n      and concerns(h, r)"
_HELD = f"{_PARKED}{_FOR_A_HALT}{_OF_IT}"
_COVERED = " and not is_halted(r.tenant, r.id, r.task, r.session, r.principal, null)\n    order"

IN_AN_INCIDENT: dict[str, tuple[str, str, str]] = {
    "a halt of a tool is overlooked": ("is_halted", "h.scope in ('tool', 'model')", "h.scope in ('model')"),
    "a halt of a model is overlooked": ("is_halted", "h.scope in ('tool', 'model')", "h.scope in ('tool')"),
    "a model with its provider's name is another": (
        "is_halted",
        "or (h.scope = 'model' and n = 'model' || right(h.key, length(n) - 5))",
        "",
    ),
    "a halt of a principal is overlooked": ("is_halted", "(h.scope = 'user' and h.key = p_principal)", "false"),
    "a halt of a run is overlooked": ("is_halted", "(h.scope = 'run' and h.key = p_run::text)", "false"),
    "a halt of everything is overlooked": ("is_halted", "and h.scope = 'everything')", "and false)"),
    "a halt holds other tenants": (
        "is_halted",
        "h.lifted_at is null and h.tenant = p_tenant and (h.scope",
        "h.lifted_at is null and (h.scope",
    ),
    "what is lifted holds on": (
        "is_halted",
        "h.lifted_at is null and h.tenant = p_tenant and (h.scope",
        "h.tenant = p_tenant and (h.scope",
    ),
    "facts too are halted": (
        "append",
        "case when m_flags[m] & 1 = 1 and exists (select from halts",
        "case when exists (select from halts",
    ),
    "who parks for a halt of a tool is not believed": (
        "append",
        "r.principal, more -> 'names' -> m::text)\n              then 'signalled'",
        "r.principal, null)\n              then 'signalled'",
    ),
    "the stronger authority is forgotten": ("put_halt", "greatest(h.authority, p_authority)", "h.authority"),
    "a halt without an end is given one": (
        "put_halt",
        "case when h.expires_at is not null and until is not null then greatest(h.expires_at, until) end",
        "greatest(h.expires_at, until)",
    ),
    "what another halt holds is let go": ("free_halted", f"{_HELD}{_COVERED}", f"{_HELD}\n    order"),
    "what waits for something else is let go": (
        "free_halted",
        f"{_HELD}{_COVERED}",
        f"{_PARKED}{_OF_IT}{_COVERED}",
    ),
    "a lift lets nothing go": ("end_halt", "perform free_halted(h, 100);", ""),
    "the end of a halt of a principal lets nothing go": ("concerns", "r.principal = h.key", "false"),
    "the end of a halt of a session lets nothing go": ("concerns", "r.session::text = h.key", "false"),
    "the end of a halt of a run lets nothing go": ("concerns", "r.id::text = h.key", "false"),
    "a run that is halted in the queue keeps its mark": (
        "claim_runs",
        "waiting_on = 'halt', stale = false",
        "waiting_on = 'halt', stale = r.stale",
    ),
}
"""The same, of halts: each takes a history that is rare where people do not halt and lift all the time."""

BEGIN_AT = {
    "who parks for a halt of a tool is not believed": 296,
    "a halt of a session is overlooked": 214,
    "the end of a halt of a session lets nothing go": 135,
    "facts too wait for rights": 125,
    "a halt of a tool is overlooked": 101,
    "what another halt holds is let go": 92,
    "a halt of a model is overlooked": 86,
    "a model with its provider's name is another": 86,
    "a divergence is unparked": 81,
    "a halt of a task is overlooked": 71,
    "halts end early": 70,
    "what waits for something else is let go": 66,
    "an append does not look whether the run is being cancelled": 58,
    "the fence does not compare the epoch": 58,
    "the end of a halt of a run lets nothing go": 55,
    "a run that is halted in the queue keeps its mark": 55,
    "the fence does not compare the worker": 44,
    "the end of a halt of a principal lets nothing go": 44,
    "halted runs are given to workers": 43,
    "anyone may release a run": 43,
    "changed rights are overlooked": 40,
}
"""Of those that take many seeds to show, one that did when this was written: it is tried first. The others follow."""


def sabotage(admin: psycopg.Connection, what: str) -> None:
    """Replace a function by one that breaks a rule."""
    name, right, wrong = (SABOTAGE | IN_AN_INCIDENT)[what]
    row = admin.execute(
        "select pg_get_functiondef(oid) from pg_proc where proname = %s and pronamespace = 'holdfast'::regnamespace",
        [name],
    ).fetchone()
    assert row is not None
    assert right in row[0], f"{name} does not read as it did: say anew how to break it"
    admin.execute(row[0].replace(right, wrong).encode())
