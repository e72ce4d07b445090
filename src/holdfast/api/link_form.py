"""The form on the page behind a link, for each kind of task: what can be said there, and what it was that was said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from holdfast.domain.approving import TaskKind
from holdfast.domain.errors import InvalidInput
from holdfast.domain.limits import describe
from holdfast.service.approval_links import LinkDecision, LinkVerdict, OpenLink
from holdfast.service.approval_shapes import ApprovalDetail
from holdfast.service.visible import visible

_NO_DEFAULT = "<button disabled hidden></button>"
"""Enter in a field presses a form's first button. Who has just typed why they reject would approve: it presses none."""


class _Button(NamedTuple):
    verdict: LinkVerdict
    text: str


class _Field(NamedTuple):
    name: str
    label: str
    most: int
    is_long: bool = False


class _Check(NamedTuple):
    name: str
    label: str


_AS_JSON = "as_json"


@dataclass(frozen=True, slots=True)
class _Form:
    fields: tuple[_Field | _Check, ...]
    buttons: tuple[_Button, ...]
    needs_more: str = ""
    """What cannot be said here, and where it can."""


_REASON, _LONG = 2000, 8000
_FORMS: dict[TaskKind, _Form] = {
    "approval": _Form(
        (_Field("reason", "If you reject: why (the model is told)", _REASON),),
        (_Button("approved", "Approve"), _Button("rejected", "Reject")),
    ),
    "question": _Form(
        (
            _Field("answer", "Your answer (the model is given it as it stands)", _LONG, is_long=True),
            _Check(_AS_JSON, "It is JSON: a number, a list, an object"),
            _Field("reason", "If you decline: why (the model is told)", _REASON),
        ),
        (_Button("answered", "Answer"), _Button("declined", "Decline")),
    ),
    "in_doubt": _Form(
        (
            _Field("result", "If it was done: its result, as JSON", _LONG, is_long=True),
            _Field("reason", "If you fail the run: why", _REASON),
        ),
        (
            _Button("done", "It was done"),
            _Button("not_done", "It was not done: do it now"),
            _Button("fail_run", "Fail the run"),
        ),
    ),
    "escalation": _Form(
        (_Field("reason", "If you fail the run: why", _REASON),),
        (_Button("go_on", "Go on"), _Button("fail_run", "Fail the run")),
        "To end it with an output of yours takes the HTTP interface or the command line.",
    ),
}


def form_of(link: OpenLink, kept: Mapping[str, str]) -> str:
    """The form that decides what a link is about, with what was typed into it before."""
    form = _form(link.task)
    more = f"<p>{escape(form.needs_more)}</p>" if form.needs_more else ""
    fields = "".join(_field(field, kept.get(field.name, "")) for field in form.fields)
    buttons = "".join(
        f'<button name="verdict" value="{one.verdict}">{escape(one.text)}</button>' for one in form.buttons
    )
    page = f'<input type="hidden" name="page" value="{escape(link.page)}">'
    return f'{more}<form method="post">{_NO_DEFAULT}{page}{_login(link)}{fields}{buttons}</form>'


def decision_of(task: ApprovalDetail, sent: Mapping[str, str]) -> LinkDecision:
    """What somebody said on the page of this task. What they typed and that does not go with it is not heard.

    Raises:
        InvalidInput: none of what can be said there, or not all that goes with it.
    """
    verdict: LinkVerdict | None = next(
        (one.verdict for one in _form(task).buttons if one.verdict == sent.get("verdict")), None
    )
    if verdict is None:
        raise InvalidInput("Choose one of what is offered.")
    reason = sent.get("reason", "").strip() or None
    match verdict:
        case "rejected" | "declined" | "fail_run":
            return LinkDecision(verdict, reason=reason)
        case "answered":
            if not (answer := sent.get("answer", "").strip()):
                raise InvalidInput("Write your answer, or decline.")
            if sent.get(_AS_JSON):
                return LinkDecision(verdict, answer=_json(answer, "Your answer"))
            return LinkDecision(verdict, answer=answer.replace("\r\n", "\n"))
        case "done":
            if not (result := sent.get("result", "").strip()):
                raise InvalidInput("Say what its result is, as JSON. Where there is none, write null.")
            return LinkDecision(verdict, result=_json(result, "Its result"))
        case "approved" | "not_done" | "go_on":
            return LinkDecision(verdict)


def _form(task: ApprovalDetail) -> _Form:
    form = _FORMS[task.kind]
    if task.kind != "escalation" or not task.tool:
        return form
    # A limit was reached: to go on as it stands would be to stand.
    needs_more = (
        f"It reached its limit on {describe(visible(task.tool))}. To raise that, or to end the run with an output of "
        "yours, takes the HTTP interface or the command line: "
        f"holdfast approvals decide {task.id} --go-on --limit {visible(task.tool)}=NUMBER"
    )
    return _Form(form.fields, tuple(one for one in form.buttons if one.verdict != "go_on"), needs_more)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in it")


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidInput(f"{what} is nested too deep.") from None
    except ValueError as error:
        raise InvalidInput(f'{what} is not JSON: {error}. A text is written "like this".') from error


def _login(link: OpenLink) -> str:
    if not link.needs_login:
        return ""
    return (
        '<label for="credential">You are an administrator: log in, or give an API key of yours</label>'
        '<input type="password" id="credential" name="credential" autocomplete="off">'
    )


def _field(field: _Field | _Check, kept: str) -> str:
    if isinstance(field, _Check):
        box = f'<input type="checkbox" id="{field.name}" name="{field.name}" value="yes"{" checked" if kept else ""}>'
        return f'<label for="{field.name}">{box} {escape(field.label)}</label>'
    label = f'<label for="{field.name}">{escape(field.label)}</label>'
    given = f'id="{field.name}" name="{field.name}" maxlength="{field.most}" autocomplete="off"'
    if field.is_long:
        # A line break right behind the tag is not part of what is in it.
        return f'{label}<textarea rows="4" {given}>\n{escape(kept)}</textarea>'
    return f'{label}<input {given} value="{escape(kept)}">'
