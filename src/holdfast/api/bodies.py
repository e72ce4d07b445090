"""What request bodies look like."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

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
    session: UUID | None = Field(None, description="The conversation to go on with, or to begin under this id.")
    priority: Annotated[int, Field(strict=True, ge=-PRIORITY_MOST, le=PRIORITY_MOST)] = Field(
        0, description="Higher is taken first."
    )
    labels: dict[str, str] = Field(
        default_factory=dict[str, str], description="Names and values, not encrypted: no personal content."
    )


class CancelBody(Body):
    """Why a run is to stop."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "no longer needed"}]})

    reason: str | None = None


class MessageBody(Body):
    """Something to say to a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "Use the other account."}]})

    message: str


class DecisionBody(Body):
    """What a person decides. `approved` and `rejected` answer an approval, the others an effect in doubt."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"verdict": "approved", "digest": "<digest of the approval>"},
                {"verdict": "approved", "digest": "<digest of the approval>", "args": {"amount": "20.00"}},
                {"verdict": "rejected", "digest": "<digest of the approval>", "reason": "not this customer"},
                {"verdict": "done", "digest": "<digest of the task>", "result": {"refund": "r-17"}},
            ]
        }
    )

    verdict: Literal["approved", "rejected", "done", "not_done", "fail_run"]
    digest: str = Field(description="The digest of what was shown.", max_length=512)
    args: dict[str, Any] | None = Field(None, description="With `approved`: the arguments to use instead.")
    reason: str | None = Field(None, description="With `rejected` or `fail_run`: why.")
    result: Any = Field(None, description="With `done`: what the tool's result is.")
