"""Every problem this interface answers with. Its `type` is `/problems/<slug>`, stable, and served with this text."""

from typing import NamedTuple


class Problem(NamedTuple):
    """One kind of problem."""

    slug: str
    status: int
    title: str
    what_to_do: str


CATALOGUE: dict[str, Problem] = {
    problem.slug: problem
    for problem in (
        Problem(
            "bad-request",
            400,
            "Bad request",
            "The request cannot be understood as it is. `detail` says what to change.",
        ),
        Problem(
            "malformed-json", 400, "Malformed JSON", "The body is not JSON in UTF-8. `detail` says where it goes wrong."
        ),
        Problem(
            "invalid-cursor",
            400,
            "Invalid cursor",
            "Cursors are made by this interface and not to be composed. Send one as it was received, or none to begin "
            "at the start.",
        ),
        Problem(
            "unauthenticated",
            401,
            "Unauthenticated",
            "Send `Authorization: Bearer` with an API key (`holdfast keys create` makes one) or a token of an "
            "issuer that this installation trusts. One that is not accepted is not told why; the audit log is.",
        ),
        Problem(
            "missing-scope",
            403,
            "Missing scope",
            "The credential is valid, and neither its principal's roles nor, where it is narrowed, its own scopes give "
            "what `detail` names. Ask an administrator of your tenant.",
        ),
        Problem(
            "may-not-decide",
            403,
            "This is for others to decide",
            "`detail` says who has to agree and why you may not. Nothing was changed.",
        ),
        Problem(
            "missing-role",
            403,
            "Missing role",
            "The task is for principals of other roles; `detail` names them. Ask an administrator of your tenant.",
        ),
        Problem(
            "too-many-attempts",
            429,
            "Too many attempts",
            "Too many credentials from your address were refused, and this request came with none that is accepted. "
            "A valid one is let in at any time. Without one, wait for the seconds that `Retry-After` says.",
        ),
        Problem("not-found", 404, "Not found", "Nothing with this id exists, or you may not see it. Check the id."),
        Problem(
            "unknown-task",
            404,
            "Unknown task",
            "No task with this name is registered. `GET /v1/tasks` lists those there are.",
        ),
        Problem(
            "no-such-route",
            404,
            "No such route",
            "Nothing is served under this path. `GET /openapi.json` lists the routes.",
        ),
        Problem(
            "method-not-allowed",
            405,
            "Method not allowed",
            "This path is served, but not with this method. The `Allow` header names those that are.",
        ),
        Problem(
            "slow-body",
            408,
            "The body did not arrive",
            "The headers came, and not all of the body in the time that `detail` names. Nothing was done. Send all of "
            "it at once, or less.",
        ),
        Problem(
            "idempotency-key-reused",
            409,
            "Idempotency key reused",
            "An idempotency key names one request. The same key came with another one, and nothing was done. Use a new "
            "key for a new request.",
        ),
        Problem(
            "unknown-scope",
            409,
            "Unknown scope",
            "The key is narrowed to a scope that this release does not know, so that no key like it can be made here. "
            "Nothing was changed. Rotate it with the release that made it, or make a new key and end this one.",
        ),
        Problem(
            "name-taken",
            409,
            "Name taken",
            "Another tenant, or another principal of this tenant, has this name. Nothing was stored. Choose another.",
        ),
        Problem(
            "last-admin",
            409,
            "Last administrator",
            "Without this principal nobody could manage the tenant. Nothing was changed. Make another an administrator "
            "first.",
        ),
        Problem(
            "tenant-suspended",
            409,
            "The tenant is suspended",
            "The platform has stopped your tenant: nothing new starts, and what ran is kept. Your audit log says why. "
            "Nothing was stored.",
        ),
        Problem(
            "tenant-active",
            409,
            "The tenant is active",
            "Only a suspended tenant can be deleted. Suspend it, export what is to be kept, then delete it.",
        ),
        Problem(
            "quota-exceeded",
            409,
            "Quota exceeded",
            "Your tenant may have no more of what `detail` names. Nothing was stored. Wait for runs to end, or ask the "
            "platform for more.",
        ),
        Problem(
            "under-way",
            409,
            "The run is at work",
            "A run that is at work settles what its steps have reserved itself. Nothing was changed. Cancel it, or "
            "wait until it is done with the step: `GET /v1/runs/{run}` says how it stands.",
        ),
        Problem(
            "halt-outranked",
            403,
            "The halt takes more authority to lift",
            "A halt is lifted by its author, or with at least the author's authority: what an administrator declared, "
            "by administrators; what the platform declared, by the platform. Nothing was changed. `detail` says whose.",
        ),
        Problem(
            "export-under-way",
            409,
            "An export is under way",
            "A tenant is exported once at a time, and yours is just now. Nothing was begun. Wait until that export "
            "ends, or close its connection.",
        ),
        Problem(
            "run-finished",
            409,
            "The run has ended",
            "Nothing more can be delivered to a run that has ended. Start another.",
        ),
        Problem(
            "already-decided",
            409,
            "Already decided",
            "Somebody decided this first, a worker reported late how the effect ended, or the run ended. Nothing was "
            "changed. `GET /v1/approvals/{id}` shows how it stands.",
        ),
        Problem(
            "already-voted",
            409,
            "You have agreed already",
            "Your agreement is kept and counts once. `GET /v1/approvals/{id}` shows how many have agreed and how many "
            "have to.",
        ),
        Problem(
            "approval-expired",
            409,
            "Nobody answered in time",
            "It was no longer open when you decided. Nothing was changed; what follows is what was said to follow.",
        ),
        Problem(
            "run-cancelling",
            409,
            "The run is to stop",
            "Somebody cancelled the run, so that nothing is approved for it any more. Nothing was changed.",
        ),
        Problem(
            "effect-reported",
            409,
            "The effect was reported",
            "The worker that lost the run has reported how the effect ended, and the run has yet to read it. Nothing "
            "was changed. Look again once a worker has taken the run up.",
        ),
        Problem(
            "digest-mismatch",
            409,
            "Digest mismatch",
            "A decision is bound to exactly what was shown. The digest sent is not the one of what waits. Look again, "
            "then decide.",
        ),
        Problem(
            "erased",
            410,
            "Erased",
            "The content of this person was erased. It cannot be read, and nothing can be added to it.",
        ),
        Problem(
            "session-deleted",
            410,
            "The session was deleted",
            "This session was deleted: its content is neither shown nor given to an agent any more, and that "
            "cannot be undone. Start a new session: send a new id, or none.",
        ),
        Problem(
            "session-history-gone",
            410,
            "The session's history is gone",
            "Retention dropped an earlier run of this session, so that its messages cannot be given to the agent. "
            "Nothing was stored. Start a new session: send a new id, or none.",
        ),
        Problem("too-large", 413, "Too large", "The content is larger than the limit that `detail` names. Send less."),
        Problem(
            "unsupported-media-type",
            415,
            "Unsupported media type",
            "Bodies are JSON. Send `Content-Type: application/json`.",
        ),
        Problem(
            "invalid-input",
            422,
            "Invalid input",
            "The input was read and does not fit. `detail` names each place. Nothing was stored.",
        ),
        Problem(
            "invalid-cost-query",
            422,
            "Invalid cost query",
            "Costs can be told apart by `day`, `feature`, `model`, `tool`, `task`, `user`, `session` and `run`, from "
            "one day to another. `detail` names what is none of these.",
        ),
        Problem(
            "invalid-request",
            422,
            "Invalid request",
            "A part of the request does not fit: `errors` names each place. `GET /openapi.json` says what is expected. "
            "Nothing was stored.",
        ),
        Problem(
            "internal-error",
            500,
            "Internal error",
            "A fault of Holdfast. The server's log has it under the time of this answer. Sending the request again is "
            "safe with an idempotency key.",
        ),
        Problem(
            "exports-busy",
            503,
            "Too many exports",
            "As many exports are under way as this server gives at once. Nothing was begun. Try again after the "
            "seconds in `Retry-After`.",
        ),
        Problem(
            "unavailable",
            503,
            "Unavailable",
            "The installation cannot serve this now; an operator has to act, or has already. Try again after the "
            "seconds in `Retry-After`.",
        ),
    )
}
