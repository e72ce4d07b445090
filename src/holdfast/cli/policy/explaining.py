"""`holdfast policy explain`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError

from holdfast.cli.policy.ground import app_policy, text_of
from holdfast.cli.screen import out, print_json
from holdfast.guards.policy.cases import Written, outcome_of
from holdfast.guards.policy.errors import closest, listed
from holdfast.guards.policy.kinds import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.domain.verdict import Verdict
    from holdfast.guards.policy import Action, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as the command line states it."""

    tool: str
    args: Sequence[str]
    roles: Sequence[str]
    labels: Sequence[str]
    tallies: Sequence[str]
    usual: dict[str, Any]
    """What else was said of it, by the names of a case; None where nothing was."""


def explain_policy(reference: str, given: Path | None, call: Call, *, as_json: bool) -> None:
    """Print a verdict, and the lines that make it.

    Raises:
        UserError: the app, its tools or the policy are not in order.
    """
    app, policy = app_policy(reference, given)
    action = policy.vocabulary.actions.get(call.tool)
    if action is None:
        meant = closest(call.tool, policy.vocabulary.actions)
        hint = f" Did you mean '{meant}'?" if meant else f" There are: {listed(policy.vocabulary.actions)}."
        raise typer.BadParameter(f"There is no tool '{call.tool}'.{hint}", param_hint="TOOL")
    written: dict[str, Any] = {
        "tool": call.tool,
        "args": {name: _value(action, name, text) for name, text in _pairs(call.args, "--arg")},
        "env": app.env or "prod",
        "tallies": dict(_pairs(call.tallies, "--tally")),
    }
    written |= {name: value for name, value in call.usual.items() if value is not None}
    if call.roles:
        written["roles"] = call.roles
    if call.labels:
        written["labels"] = _labels(call.labels)
    try:
        case = Written.model_validate(written).case(policy.vocabulary)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    _print(policy, policy.verdict(case.tool, case.args, case.facts), as_json=as_json)


def _pairs(given: Sequence[str], option: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"'{text}' names no value. Write name=value.", param_hint=option)
        found.append((name, value))
    return found


def _labels(given: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, label in _pairs(given, "--label"):
        found.setdefault(name, []).append(label)
    return found


def _value(action: Action, name: str, text: str) -> Any:
    """JSON, save where the argument is a text, or is none that policies see."""
    if any(field.name == name and isinstance(field.kind, Text) for field in action.args.fields):
        return text
    try:
        return json.loads(text, parse_float=str)
    except ValueError:
        return text


def _print(policy: Policy, verdict: Verdict, *, as_json: bool) -> None:
    rules = [(rule, text_of(policy, rule)) for rule in verdict.rules]
    outcome = outcome_of(verdict)
    if as_json:
        told = [{"id": rule.id, "line": rule.line, "reason": rule.reason, "text": text} for rule, text in rules]
        print_json(
            {
                "outcome": outcome,
                "decision": verdict.decision.value,
                "ask": None if verdict.ask is None else str(verdict.ask),
                "reason": verdict.reason,
                "policy": verdict.policy,
                "rules": told,
            }
        )
        return
    screen = out()
    screen.print(f"{outcome}{f': {verdict.reason}' if verdict.reason else ''}", markup=False)
    for rule, text in rules:
        screen.print(f"\n{policy.path}:{rule.line}", markup=False, style="dim")
        screen.print("\n".join(f"    {line}" for line in text.splitlines()), markup=False)
