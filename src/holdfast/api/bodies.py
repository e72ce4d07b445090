"""What request bodies look like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, model_validator

from holdfast.domain.budgets import Per, Unit
from holdfast.domain.budgets import Scope as BudgetScope
from holdfast.domain.halts import HaltScope
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role, Scope
from holdfast.service.approval_links import ENDS_IN_S, ENDS_MOST_S
from holdfast.service.find_budget import KEY_MOST as BUDGET_KEY_MOST
from holdfast.service.halts import HALT_KEY_MOST, HALT_MOST_S
from holdfast.service.identity_views import Quotas
from holdfast.service.invalidate_messages import Span
from holdfast.service.manage_keys import OVERLAP_MOST_S, OVERLAP_S
from holdfast.service.start_run import PRIORITY_MOST


class Body(BaseModel):
    """What all bodies have in common: a member that is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class StartRunBody(Body):
    """A run to start."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input": "I just lost my card!", "labels": {"channel": "chat"}}]}
    )

    input: Any = Field(description="The input, as the task's input type says.")
    session: UUID | None = Field(
        None, description="The conversation to go on with, or to begin under this id: a random UUID, of version 4 or 7."
    )
    on_behalf_of: UUID | None = Field(
        None, description="The principal whom the run is for, with their rights; needs the scope `runs:delegated`."
    )
    priority: Annotated[int, Field(strict=True, ge=-PRIORITY_MOST, le=PRIORITY_MOST)] = Field(
        0, description="Higher is taken first."
    )
    labels: dict[str, str] = Field(
        default_factory=dict[str, str], description="Names and values, not encrypted: no personal content."
    )
    limits: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="What this run may do at most, by the names of limits, as `steps`, `tokens`, `calls:TOOL` or "
        "`amount:NAME`. The task's own apply as well: the lowest rules.",
        examples=[{"steps": 20, "wall_clock": "10m"}],
    )


class SessionBody(Body):
    """A conversation to begin."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "01980000-0000-7000-8000-000000000000"}]})

    id: UUID | None = Field(
        None, description="Chosen by you, so that asking again begins it once. A random UUID, of version 4 or 7."
    )


class InvalidationBody(Body):
    """Messages that are not to be given to the model any more: one by `message`, or a span of a run's."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run": "01980000-0000-7000-8000-000000000000",
                    "from": 1,
                    "to": 2,
                    "reason": "the address was another customer's",
                },
                {"message": "<ref of a message>", "reason": "the price list was last year's"},
            ]
        }
    )

    id: UUID | None = Field(None, description="Chosen by you, so that asking again marks once.")
    message: str | None = Field(None, max_length=128, description="The `ref` of a message.")
    run: UUID | None = Field(None, description="The run whose messages are meant.")
    first: int | None = Field(None, strict=True, alias="from", description="The place of the first, from 1.")
    last: int | None = Field(None, strict=True, alias="to", description="The place of the last.")
    reason: str = Field(description="Why. It is sealed, and told to whoever reads the session.")

    @model_validator(mode="after")
    def _one_way(self) -> InvalidationBody:
        span = (self.run, self.first, self.last)
        if (self.message is None) == (None in span) or (self.message is not None and span != (None, None, None)):
            raise ValueError("give either `message`, or `run`, `from` and `to`")
        return self

    @property
    def what(self) -> Span | str:
        """The messages meant."""
        if self.run is None or self.first is None or self.last is None:
            return self.message or ""
        return Span(self.run, self.first, self.last)


class LiftBody(Body):
    """Why messages are to be given again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "it was right after all"}]})

    reason: str


class CancelBody(Body):
    """Why a run is to stop."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "no longer needed"}]})

    reason: str | None = None


class MessageBody(Body):
    """Something to say to a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "Use the other account."}]})

    message: str


class DecisionBody(Body):
    """What a person decides: `approved` or `rejected` of an approval; `answered` or `declined` of a question; `done`,
    `not_done` or `fail_run` of an effect in doubt; `go_on`, `finish` or `fail_run` of a run in trouble.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"verdict": "approved", "digest": "<digest of the approval>"},
                {"verdict": "approved", "digest": "<digest of the approval>", "args": {"amount": "20.00"}},
                {"verdict": "rejected", "digest": "<digest of the approval>", "reason": "not this customer"},
                {"verdict": "answered", "digest": "<digest of the task>", "answer": "the blue one"},
                {"verdict": "done", "digest": "<digest of the task>", "result": {"refund": "r-17"}},
                {"verdict": "go_on", "digest": "<digest of the task>", "limits": {"steps": 40}},
            ]
        }
    )

    verdict: Literal["approved", "rejected", "answered", "declined", "done", "not_done", "go_on", "finish", "fail_run"]
    digest: str = Field(description="The digest of what was shown.", max_length=512)
    args: dict[str, Any] | None = Field(None, description="With `approved`: the arguments to use instead.")
    reason: str | None = Field(None, description="With `rejected`, `declined` or `fail_run`: why.")
    result: Any = Field(None, description="With `done`: what the tool's result is.")
    limits: dict[str, Any] | None = Field(None, description="With `go_on`: to what limits are raised, by their names.")
    output: Any = Field(None, description="With `finish`: the run's output.")
    answer: Any = Field(None, description="With `answered`: the call's result, most often a text. It has to be there.")

    @model_validator(mode="after")
    def _answers(self) -> Self:
        if self.verdict == "answered" and "answer" not in self.model_fields_set:
            raise ValueError("'answered' needs an `answer`; null is one.")
        return self


class LinkBody(Body):
    """Whom a link is for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"principal": "<id of an approver>", "ends_in_s": 3600}]}
    )  # fmt: skip

    principal: UUID = Field(description="Who may decide by it.")
    ends_in_s: float = Field(ENDS_IN_S, gt=0, le=ENDS_MOST_S, description="For how long, in seconds.")


class PrincipalBody(Body):
    """A person or a service to invite."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ann", "roles": ["user"]}]})

    name: str
    kind: PrincipalKind = PrincipalKind.PERSON
    roles: list[Role] = Field(default_factory=lambda: [Role.USER])
    email: str | None = None


class KeyBody(Body):
    """A key to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "scopes": ["runs:start", "runs:read"]}]})

    principal: UUID | None = Field(None, description="Whose key; your own where left out.")
    name: str = Field("", description="What it is for.")
    scopes: list[Scope] | None = Field(None, description="What it is narrowed to; left out: all its principal may.")
    expires_at: datetime | None = Field(None, description="When it ends; left out: never.")


class RotateBody(Body):
    """How a key is replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: float = Field(
        OVERLAP_S, ge=0, le=OVERLAP_MOST_S, description="For how long the old key is still accepted, in seconds."
    )
    expires_at: datetime | None = Field(
        None,
        description="When the new one ends; left out: it lives as long, from now, as the old one was made to live.",
    )


class TenantBody(Body):
    """A tenant to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "acme", "admin": "Ada"}]})

    name: str = Field(description="Small letters, digits and hyphens.")
    admin: str = Field("admin", description="The name of its first administrator.")


class SuspendBody(Body):
    """Why a tenant is stopped."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "unpaid since May"}]})

    reason: str = Field(description="The tenant reads it in its audit log.")


class HaltBody(Body):
    """What to stop."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"scope": "tool", "key": "issue_refund", "reason": "refunds go out twice"},
                {"scope": "tenant", "reason": "incident 42", "for_s": 3600},
            ]
        }
    )

    scope: HaltScope
    key: str = Field(
        "",
        max_length=HALT_KEY_MOST,
        description="Which: the id of a run, session or principal, or the name of a task, tool, model or tenant. "
        "Left out for everything, and for your own tenant.",
    )
    reason: str = Field(description="Why: told to whoever sees the halt. Not encrypted: no personal content.")
    for_s: float | None = Field(
        None, gt=0, le=HALT_MOST_S, description="After how many seconds it ends by itself; left out: when it is lifted."
    )


Amount = StrictStr | StrictInt | StrictFloat


class BudgetBody(Body):
    """What may be spent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"scope": "tenant", "amount": "20.00", "unit": "usd", "per": "day"},
                {"scope": "user", "key": "*", "amount": 5_000_000, "unit": "tokens", "per": "month"},
            ]
        }
    )

    scope: BudgetScope
    key: str = Field(
        "",
        max_length=BUDGET_KEY_MOST,
        description="Which: the id of a user or session, or the name of a task, feature or model; `*`: each by itself. "
        "Left out of the tenant.",
    )
    amount: Amount = Field(description="How much in each window; of `usd` in dollars.")
    unit: Unit
    per: Per = Field(description="The window; days, weeks and months are those of the tenant's time zone.")


class RaiseBody(Body):
    """By how much a budget is raised, for the window that is now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"more": "5.00", "reason": "quarter's end"},
                {"more": "1.00", "owner": "<id of a user>", "reason": "a large order"},
            ]
        }
    )

    more: Amount = Field(description="In the budget's unit; of `usd` in dollars.")
    owner: str = Field(
        "", max_length=BUDGET_KEY_MOST, description="Whose window, where the budget is for each by itself."
    )
    reason: str = Field(description="Why: the audit log keeps it. Not encrypted: no personal content.")


class SettleBody(Body):
    """What a step used, as somebody found out. What is left out stays at its bound."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run": "01980000-0000-7000-8000-000000000000",
                    "step": "#3",
                    "attempt": 1,
                    "usd": "0.02",
                    "tokens": 812,
                    "reason": "the provider's bill",
                }
            ]
        }
    )

    run: UUID
    step: str = Field(max_length=1024, description="As `GET /v1/budgets/reservations` names it.")
    attempt: Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]
    usd: Amount | None = None
    tokens: Amount | None = None
    requests: Amount | None = None
    reason: str = Field(description="How you know: the audit log keeps it. Not encrypted: no personal content.")


class TimeZoneBody(Body):
    """Where days begin."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"time_zone": "Europe/Berlin"}]})

    time_zone: str = Field(description="As the IANA database names it.")


class ExportBody(Body):
    """Under which key the keys of an export's content are wrapped."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "<32 random bytes in base64>"}]})

    key: str = Field(description="32 bytes in base64 or hex, as `openssl rand -base64 32` makes them. Keep it apart.")


class TenantLimitsBody(Body):
    """What each run of a tenant may do at most, all of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limits": {"steps": 40, "cost_usd": "5.00"}}]})

    limits: dict[str, Any] = Field(
        description="By the names of limits, as `steps`, `tokens`, `cost_usd`, `calls:TOOL`, `writes:SYSTEM` or "
        "`amount:NAME`. What is left out is not limited.",
    )


class QuotasBody(Quotas):
    """What a tenant may have at most; null, or left out, is no limit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"principals": 50, "runs": 1000, "bytes": 10_000_000_000}]}
    )
