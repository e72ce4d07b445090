"""`holdfast policy test` and `holdfast policy diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.exits import ExitCode
from holdfast.cli.policy.ground import CASES, app_policy, cases_in, read_policy
from holdfast.cli.screen import out, print_json, table
from holdfast.domain.errors import UserError
from holdfast.guards.policy.cases import Case
from holdfast.loading import load_app

if TYPE_CHECKING:
    from collections.abc import Iterable

_USER = frozenset({"user"})
_ALL = 100
_SHOWN = 20
"""The most differences of one tool that a table shows; `--json` gives all."""


def try_policy(reference: str, given: Path | None, cases: Path | None, *, as_json: bool) -> ExitCode:
    """Try the cases, and print those whose outcome is not what they expect.

    Raises:
        UserError: the app, its tools, the policy or the cases are not in order.
    """
    _, policy = app_policy(reference, given)
    path = cases or Path(policy.path).with_suffix(CASES)
    found = cases_in(path, policy.vocabulary)
    silent = [case.name for case in found if case.expect is None]
    if silent or not found:
        what = f"case '{silent[0]}' expects nothing" if silent else "there is no case"
        raise UserError(f"{path}: {what}. Write `expect: allow`, `deny`, or `ask` and whom.")
    verdicts = [(case, policy.verdict(case.tool, case.args, case.facts), case.outcome(policy)) for case in found]
    wrong = [
        {"case": case.name, "expected": case.expect, "found": outcome, "reason": verdict.reason}
        for case, verdict, outcome in verdicts
        if outcome != case.expect
    ]
    if as_json:
        print_json({"cases": len(found), "wrong": wrong, "policy": policy.digest})
    else:
        _print_wrong(wrong, len(found))
    return ExitCode.FAILED if wrong else ExitCode.OK


def _print_wrong(wrong: list[dict[str, Any]], count: int) -> None:
    if wrong:
        made = table("case", "expected", "found", "why")
        for one in wrong:
            made.add_row(one["case"], one["expected"], one["found"], one["reason"])
        out().print(made)
    told = f"{len(wrong)} of {count} cases are not as expected." if wrong else f"All {count} cases are as expected."
    out().print(told)


def diff_policies(reference: str, old: Path, new: Path, cases: Path | None, *, as_json: bool) -> None:
    """Print the cases that two versions decide differently.

    Raises:
        UserError: the app, its tools, a policy or the cases are not in order.
    """
    from holdfast.guards.policy.boundaries import boundary_cases

    vocabulary = load_app(reference).vocabulary()
    before, after = read_policy(old, vocabulary), read_policy(new, vocabulary)
    found: Iterable[Case] = cases_in(cases, vocabulary) if cases else boundary_cases(before, after)
    count, changed = 0, list[tuple[Case, str, str]]()
    for case in found:
        count += 1
        outcomes = case.outcome(before), case.outcome(after)
        if outcomes[0] != outcomes[1]:
            changed.append((case, *outcomes))
    if as_json:
        print_json(
            {"old": before.digest, "new": after.digest, "cases": count, "changed": [_plain(*one) for one in changed]}
        )
        return
    made = table("tool", "call", "old", "new")
    for case, was, becomes in _few(changed):
        made.add_row(case.tool, _told(case), was, becomes)
    if changed:
        out().print(made)
    where = f"in {cases}" if cases else "at the limits that either version names"
    out().print(f"{len(changed) or 'None'} of {count} cases {where} change.", markup=False)


def _few(changed: list[tuple[Case, str, str]]) -> Iterable[tuple[Case, str, str]]:
    shown: dict[str, int] = {}
    for one in changed:
        tool = one[0].tool
        shown[tool] = shown.get(tool, 0) + 1
        if shown[tool] <= _SHOWN:
            yield one


def _plain(case: Case, was: str, becomes: str) -> dict[str, Any]:
    facts = case.facts
    return {
        "tool": case.tool,
        "name": case.name,
        "args": dict(case.args),
        "facts": dict(case.declared or {}),
        "roles": sorted(facts.roles),
        "task": facts.task,
        "env": facts.env,
        "hour": facts.local_hour,
        "weekday": facts.local_weekday,
        "depth": facts.depth,
        "steps": facts.steps,
        "budget_left": facts.budget_left,
        "labels": {name: sorted(labels) for name, labels in facts.labels.items()},
        "tallies": dict(facts.tallies),
        "old": was,
        "new": becomes,
    }


def _told(case: Case) -> str:
    if case.name:
        return case.name
    facts = case.facts
    said = [f"{name}={value}" for name, value in case.args.items()]
    said += [f"{name}={value}" for name, value in (case.declared or {}).items()]
    said += [f"{name} from {'+'.join(sorted(labels))}" for name, labels in facts.labels.items() if labels != _USER]
    said += [f"{name}={value / 10_000:.4f}" for name, value in facts.tallies.items() if value]
    said += [f"{name}={value}" for name, value in (("depth", facts.depth), ("steps", facts.steps)) if value]
    said += [f"budget_left={facts.budget_left}"] if facts.budget_left != _ALL else []
    who = "+".join(sorted(facts.roles)) or "nobody"
    return f"{', '.join(said)}; {who}, {facts.env}, {facts.local_hour} h, day {facts.local_weekday}"
