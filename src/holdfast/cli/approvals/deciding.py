"""`holdfast approvals decide`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

import typer

from holdfast.cli.approvals.telling import print_task
from holdfast.cli.screen import print_json
from holdfast.cli.services import with_services
from holdfast.domain.errors import InvalidInput
from holdfast.service.decide_approval import decide_approval, resolve_effect
from holdfast.service.list_tasks_to_decide import get_task_to_decide

if TYPE_CHECKING:
    from holdfast.service.approval_shapes import ApprovalDetail
    from holdfast.service.services import Services
    from holdfast.settings import Settings


@dataclass(frozen=True, slots=True)
class Decision:
    """What the person says."""

    verdict: Literal["approved", "rejected", "done", "not_done", "fail_run"]
    args: dict[str, Any] | None = None
    result: Any = None
    reason: str | None = None

    @classmethod
    def of(
        cls,
        *,
        approve: bool,
        args: str | None,
        reject: bool,
        done: str | None,
        not_done: bool,
        fail: bool,
        reason: str | None,
    ) -> Decision:
        """The decision that the options name.

        Raises:
            BadParameter: not exactly one is named, or what goes with it does not.
        """
        said = {
            "approved": approve,
            "rejected": reject,
            "done": done is not None,
            "not_done": not_done,
            "fail_run": fail,
        }
        chosen = [verdict for verdict, given in said.items() if given]
        if len(chosen) != 1:
            raise typer.BadParameter("Give exactly one of --approve, --reject, --done, --not-done, --fail.")
        if args is not None and not approve:
            raise typer.BadParameter("It goes with --approve.", param_hint="--args")
        if reason is not None and not (reject or fail):
            raise typer.BadParameter("It goes with --reject or --fail.", param_hint="--reason")
        return cls(
            cast("Any", chosen[0]),
            args=None if args is None else _object(args),
            result=None if done is None else _json(done, "--done"),
            reason=reason,
        )


def decide(settings: Settings, approval: UUID, decision: Decision, *, digest: str | None, as_json: bool) -> None:
    """Decide, and print the task as it then stands. Without a digest it is about what is asked now, unless edited.

    Raises:
        NotFound: there is no such task.
        AlreadyDecided: somebody was first, or the run ended.
        DigestMismatch: the task is not what `digest` names.
        InvalidInput: this decision does not fit this task.
    """

    async def act(services: Services) -> ApprovalDetail:
        task = await get_task_to_decide(services, services.caller, approval)
        if digest is None and task.edits and task.state == "pending":
            raise InvalidInput(
                "The arguments were edited since the model gave them. See what they are now, by `holdfast approvals "
                f"show {approval}`, and decide with the --digest that it prints."
            )
        return await _decided(services, task, decision, digest or task.digest)

    task = with_services(settings, act)
    if as_json:
        print_json(task)
    else:
        print_task(task)


async def _decided(services: Services, task: ApprovalDetail, decision: Decision, digest: str) -> ApprovalDetail:
    match decision.verdict:
        case "approved" | "rejected":
            return await decide_approval(
                services,
                services.caller,
                task.id,
                decision.verdict,
                digest=digest,
                args=decision.args,
                reason=decision.reason,
            )
        case "done" | "not_done" | "fail_run":
            return await resolve_effect(
                services,
                services.caller,
                task.id,
                decision.verdict,
                digest=digest,
                result=decision.result,
                reason=decision.reason,
            )


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"It is not JSON: {error}. Text is written '\"like this\"'.", param_hint=option
        ) from error


def _object(text: str) -> dict[str, Any]:
    value = _json(text, "--args")
    if not isinstance(value, dict):
        raise typer.BadParameter("It is not a JSON object of arguments by name.", param_hint="--args")
    return cast("dict[str, Any]", value)
