"""`holdfast approvals decide`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import typer

from holdfast.cli.approvals.telling import print_task
from holdfast.cli.screen import print_json
from holdfast.cli.services import with_services
from holdfast.domain.errors import InvalidInput
from holdfast.service.decide_escalation import decide as decide_any
from holdfast.service.list_tasks_to_decide import get_task_to_decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.service.approval_shapes import ApprovalDetail
    from holdfast.service.services import Services
    from holdfast.settings import Settings
    from holdfast.store.approvals import Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What the person says."""

    verdict: Verdict
    args: dict[str, Any] | None = None
    result: Any = None
    reason: str | None = None
    limits: dict[str, Any] | None = None
    output: Any = None
    answer: Any = None

    @classmethod
    def of(
        cls,
        *,
        approve: bool,
        args: str | None,
        reject: bool,
        answer: str | None,
        answer_json: str | None,
        decline: bool,
        done: str | None,
        not_done: bool,
        go_on: bool,
        limits: Sequence[str],
        finish: str | None,
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
            "answered": answer is not None or answer_json is not None,
            "declined": decline,
            "done": done is not None,
            "not_done": not_done,
            "go_on": go_on,
            "finish": finish is not None,
            "fail_run": fail,
        }
        chosen = [verdict for verdict, given in said.items() if given]
        if len(chosen) != 1 or None not in {answer, answer_json}:
            raise typer.BadParameter(
                "Give exactly one of --approve, --reject, --answer, --answer-json, --decline, --done, --not-done, "
                "--go-on, --finish, --fail."
            )
        if args is not None and not approve:
            raise typer.BadParameter("It goes with --approve.", param_hint="--args")
        if reason is not None and not (reject or decline or fail):
            raise typer.BadParameter("It goes with --reject, --decline or --fail.", param_hint="--reason")
        if limits and not go_on:
            raise typer.BadParameter("It goes with --go-on.", param_hint="--limit")
        return cls(
            cast("Any", chosen[0]),
            args=None if args is None else _object(args),
            result=None if done is None else _json(done, "--done"),
            reason=reason,
            limits=limits_of(limits) or None,
            output=None if finish is None else _json(finish, "--finish"),
            answer=answer if answer_json is None else _json(answer_json, "--answer-json"),
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
        return await decide_any(
            services,
            services.caller,
            approval,
            decision.verdict,
            digest=digest or task.digest,
            args=decision.args,
            reason=decision.reason,
            result=decision.result,
            limits=decision.limits,
            output=decision.output,
            answer=decision.answer,
        )

    task = with_services(settings, act)
    if as_json:
        print_json(task)
    else:
        print_task(task)


def limits_of(given: Sequence[str], hint: str = "--limit") -> dict[str, Any]:
    """Limits as they are written on a command line, `NAME=NUMBER`; `hint` names the place.

    Raises:
        BadParameter: one of them is not.
    """
    found = dict[str, Any]()
    for one in given:
        name, equals, value = one.rpartition("=")
        if not equals:
            raise typer.BadParameter(f"'{one}' is not NAME=NUMBER, as steps=40.", param_hint=hint)
        found[name] = int(value) if value.isdecimal() else value
    return found


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
