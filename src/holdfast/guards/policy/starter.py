"""The policy to begin with: every tool declared by name, at the default that its recovery class and risk give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from holdfast.domain.recovery import Recovery
from holdfast.guards.policy.action import READS, Action
from holdfast.guards.policy.kinds import Amount, Field, quoted, spelled
from holdfast.guards.policy.shape import Risk
from holdfast.guards.policy.vocabulary import Vocabulary

_HEAD = """\
// What the agents of '{app}' may do. `holdfast policy check` says whether this file is in order, `holdfast policy
// explain` what it says of a call and why. Workers look at it again while they run.
//
// A call is allowed if a permit covers it and no forbid fires. A forbid with @ask can be lifted by whom it names:
// "user" is the person behind the run; "approver", "admin", "two admins" are others. Of several, all must be satisfied.
// A forbid without @ask is final. What no permit covers is denied, a tool that is new included.
"""
_READS = """\
permit (principal, action in Action::"reads", resource);
"""
_DEFAULTS = {
    "allow": "These change something, and may be repeated safely or do little harm.",
    "ask user": "These cannot be repeated safely, or could do some harm: the person behind the run confirms.",
    "ask admin": "These could do much harm: an administrator agrees.",
}
_LINE = 100


def default_of(action: Action) -> str:
    """What becomes of a tool's calls where nobody has thought about it: `allow`, `ask user` or `ask admin`."""
    if action.risk is Risk.HIGH:
        return "ask admin"
    if READS in action.groups or action.risk is Risk.LOW:
        return "allow"
    return "ask user" if action.risk is Risk.MEDIUM or action.recovery is Recovery.ONCE else "allow"


def starter(vocabulary: Vocabulary, app: str) -> str:
    """The text of a policy that is in order, declares every tool, and teaches."""
    return "".join((_HEAD.format(app=app), *_sections(vocabulary), *_examples(vocabulary)))


def permit_line(tool: str) -> str:
    """The line that declares a tool, by permitting it to everybody."""
    return f"permit (principal, action == Action::{quoted(tool)}, resource);"


def declared(action: Action) -> str:
    """A tool as a policy sees it: name and typed arguments."""
    return f"{action.name}({', '.join(field.cedar for field in action.args.fields)})"


def _sections(vocabulary: Vocabulary) -> Iterator[str]:
    reads = [one for one in vocabulary.actions.values() if READS in one.groups]
    if reads:
        yield f"\n// Reads change nothing.\n{_listed(reads)}{_READS}"
    for default, why in _DEFAULTS.items():
        found = [one for one in vocabulary.actions.values() if default_of(one) == default]
        asked = [one for one in found if default != "allow" or one not in reads]
        writes = [one for one in found if one not in reads]
        if writes:
            yield f"\n// {why}\n{_listed(writes)}permit (principal, {_scope(writes)}, resource);\n"
        if asked and default != "allow":
            yield f'@ask("{default.removeprefix("ask ")}")\nforbid (principal, {_scope(asked)}, resource);\n'


def _scope(actions: Sequence[Action]) -> str:
    names = [f"Action::{quoted(action.name)}" for action in actions]
    if len(names) == 1:
        return f"action == {names[0]}"
    line = f"action in [{', '.join(names)}]"
    return line if len(line) <= _LINE else "action in [\n    {}\n]".format(",\n    ".join(names))


def _listed(actions: Iterable[Action]) -> str:
    return "".join(f"//   {declared(action)}\n" for action in actions).replace("\r", " ")


def _examples(vocabulary: Vocabulary) -> Iterator[str]:
    writes = [one for one in vocabulary.actions.values() if READS not in one.groups]
    amount = next(((one, field) for one in writes for field in _amounts(one)), None)
    if amount is not None:
        action, field = amount
        yield "\n// Larger amounts need more people:\n"
        yield from _commented(
            f'@ask("two admins") @reason("Above 1,000 two administrators agree.")\n'
            f"forbid (principal, {_scope([action])}, resource)\n"
            f'when {{ {_path("args", field.name)}.greaterThan(decimal("1000.00")) }};'
        )
    labelled = next((one for one in writes if one.labelled), None)
    if labelled is not None:
        yield "\n// What came from outside decides nothing:\n"
        yield from _commented(
            f"forbid (principal, {_scope([labelled])}, resource)\n"
            f'when {{ {_path("labels", labelled.labelled[0])}.contains(Label::"untrusted") }};'
        )
    if writes:
        yield "\n// Not at night in production:\n"
        yield from _commented(
            'forbid (principal, action in Action::"writes", resource)\n'
            'when { context.run.env == Env::"prod" && (context.run.local_hour >= 22 || context.run.local_hour < 6) };'
        )


def _amounts(action: Action) -> list[Field]:
    return [field for field in action.args.fields if isinstance(field.kind, Amount) and not field.optional]


def _path(section: str, name: str) -> str:
    plain = spelled(name) == name
    return f"context.{section}.{name}" if plain else f"context.{section}[{quoted(name)}]"


def _commented(text: str) -> Iterator[str]:
    yield from (f"//   {line}\n" for line in text.splitlines())
