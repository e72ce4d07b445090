"""`holdfast policy check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.cli.exits import ExitCode
from holdfast.cli.policy.ground import app_policy
from holdfast.cli.screen import err, out, print_json, table
from holdfast.guards.policy.starter import declared, default_of, permit_line

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.guards.policy import Policy


def check_policy(reference: str, given: Path | None, *, as_json: bool) -> ExitCode:
    """Say whether the policy is in order, and for each tool what it is and which lines are about it.

    Raises:
        UserError: the app, its tools or the policy are not in order.
    """
    _, policy = app_policy(reference, given)
    tools = [_tool(policy, name) for name in policy.vocabulary.actions]
    if as_json:
        print_json(
            {"file": policy.path, "digest": policy.digest, "tools": tools, "undeclared": list(policy.undeclared)}
        )
    else:
        _print(policy, tools)
    return ExitCode.USER_ERROR if policy.undeclared else ExitCode.OK


def _tool(policy: Policy, name: str) -> dict[str, Any]:
    action = policy.vocabulary.actions[name]
    return {
        "name": name,
        "arguments": declared(action),
        "recovery": action.recovery.value,
        "risk": action.risk.value if action.risk else None,
        "groups": sorted(action.groups),
        "default": default_of(action),
        "lines": [one.line for one in policy.about(name)],
    }


def _print(policy: Policy, tools: list[dict[str, Any]]) -> None:
    made = table("tool", "recovery", "risk", "default", "lines")
    for tool in tools:
        lines = ", ".join(map(str, tool["lines"])) or "none"
        made.add_row(tool["name"], tool["recovery"], tool["risk"] or "-", tool["default"], lines)
    out().print(made)
    if not policy.undeclared:
        out().print(f"\n{policy.path} is in order. Digest: {policy.digest}", markup=False)
    for name in policy.undeclared:
        told = f"{policy.path}: no statement names '{name}'. To permit it, add: {permit_line(name)}"
        err().print(told, markup=False)
