"""The catalogue: every log event and metric name in one place, so that dashboards and alerts have one source.

A log event's name never changes its meaning; what varies goes into fields.
"""

from enum import StrEnum


class LogEvent(StrEnum):
    """The `event` field of a log line."""

    WORKER_STARTED = "worker.started"
    WORKER_DRAINING = "worker.draining"
    WORKER_STOPPED = "worker.stopped"
    WORKER_FORCED = "worker.forced"

    LEASE_LOST = "lease.lost"
    LEASE_RENEWAL_FAILED = "lease.renewal_failed"
    LEASE_LEFT_TO_EXPIRE = "lease.left_to_expire"
    LOOP_BLOCKED = "loop.blocked"
    LOOP_FREE = "loop.free"

    RUN_CLAIMED = "run.claimed"
    RUN_ENDED = "run.ended"
    RUN_LOST = "run.lost"
    RUN_BROKE = "run.broke"
    RUN_STRAY = "run.stray"
    RUNS_RELEASED = "runs.released"
    HALT_HEARD = "halt.heard"
    HALTS_UNKNOWN = "halt.unknown"
    TICKED = "tick.moved"
    BUDGET_ALERT = "budget.alert"

    POLICY_CHANGED = "policy.changed"
    POLICY_REFUSED = "policy.refused"
    TOOLS_UNDECLARED = "tools.undeclared"

    DATABASE_UNAVAILABLE = "database.unavailable"
    DATABASE_BACK = "database.back"

    API_STARTED = "api.started"
    API_STOPPED = "api.stopped"
    ISSUER_UNAVAILABLE = "issuer.unavailable"
    ISSUER_BACK = "issuer.back"
    REQUEST_FAILED = "api.request_failed"


class Metric(StrEnum):
    """Metric names, units last."""

    RUNS_CARRIED = "holdfast_worker_runs_carried"
    RUNS_CLAIMED = "holdfast_worker_runs_claimed_total"
    RUNS_ENDED = "holdfast_worker_runs_ended_total"
    LEASES_LOST = "holdfast_worker_leases_lost_total"
    LOOP_BLOCKED = "holdfast_worker_loop_blocked_seconds"
    REQUESTS = "holdfast_api_requests_total"
    REQUEST_DURATION = "holdfast_api_request_duration_seconds"
