"""All that a policy may speak of: tools, groups, tasks, roles, environments, labels, tallies. As a Cedar schema.

Everything that has a name is an action or a member of an enumeration, so that a slip of the pen is refused when the
policy is loaded, and never silently matches nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.domain.errors import UserError
from holdfast.domain.rights import Role
from holdfast.guards.policy.action import RESERVED, Action, action_of, field_of
from holdfast.guards.policy.kinds import Amount, Field, Kind, Long, Member, Record, SetOf, quoted, spelled
from holdfast.guards.policy.shape import ToolShape

ENVS = ("dev", "staging", "prod")
LABELS = ("user", "system", "untrusted")
SECTIONS = ("run", "args", "labels", "facts")
"""What `context` has."""

Reads: TypeAlias = Mapping[str, Collection[str]]
"""Which parts of `context` are looked at: names by section."""

_ENTITIES = "entity Role enum [{roles}];\nentity Env enum [{envs}];\nentity Label enum [{labels}];\n"
_SOMEBODY = "entity Person in [Role];\n"
_ENV = Member("Env", ENVS)
_LABELS = SetOf(Member("Label", LABELS))
_NUMBERS = ("local_hour", "local_weekday", "depth", "steps", "budget_left")
RUN = ("env", *_NUMBERS)
"""What `context.run` has beside the tallies."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """What a policy may speak of."""

    actions: Mapping[str, Action]
    tasks: tuple[str, ...]
    tallies: tuple[str, ...]
    tasks_of: Mapping[str, tuple[str, ...]]
    """The tasks that have a tool."""
    schema: str
    """In Cedar's language."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group, those that nobody declares first."""
        declared = {group for action in self.actions.values() for group in action.groups}
        return (*sorted(RESERVED), *sorted(declared - RESERVED))

    def members(self, group: str) -> list[str]:
        """The tools in a group."""
        return [name for name, action in self.actions.items() if group in action.groups]

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role."""
        return tuple(Role)

    def request_schema(self, action: Action, reads: Reads) -> str:
        """A schema for requests about one tool that carry nothing but what is looked at."""
        return "".join(
            (
                _entities(self.tasks),
                *(f"action {quoted(group)};\n" for group in sorted(action.groups)),
                _declaration(action, self.tallies, reads),
            )
        )


def vocabulary_of(shapes: Iterable[ToolShape], tasks: Iterable[str] = (), tallies: Iterable[str] = ()) -> Vocabulary:
    """The vocabulary of an application's tools.

    Args:
        shapes: the tools of all tasks; the same tool may be in several.
        tasks: tasks beside those of `shapes`.
        tallies: tallies beside those that tools declare.

    Raises:
        UserError: an argument cannot be mapped, or two tasks have different tools of one name.
    """
    known = list(shapes)
    actions: dict[str, Action] = {}
    for shape in known:
        action = action_of(shape)
        if (other := actions.setdefault(shape.name, action)) != action:
            first = next(one.task for one in known if one.name == shape.name)
            raise UserError(_two_tools(shape, first, other, action))
    for action in actions.values():
        for group in sorted(action.groups & actions.keys()):
            raise UserError(f"Tool '{action.name}': '{group}' is the name of a group and of a tool. Change one.")
    named = tuple(sorted({*tasks, *(shape.task for shape in known)}))
    sums = tuple(sorted({*tallies, *(tally for action in actions.values() for tally in action.tallies)}))
    for tally in sums:
        if tally in RUN:
            raise UserError(f"A tally cannot be named '{tally}': a run has that already. Name it otherwise.")
    actions = dict(sorted(actions.items()))
    tasks_of = {name: tuple(sorted({one.task for one in known if one.name == name})) for name in actions}
    return Vocabulary(actions, named, sums, tasks_of, _schema(actions, named, sums))


def schema_of(shapes: Iterable[ToolShape], tasks: Iterable[str] = (), tallies: Iterable[str] = ()) -> str:
    """The Cedar schema that policies for these tools are checked against.

    Raises:
        UserError: an argument cannot be mapped, or two tasks have different tools of one name.
    """
    return vocabulary_of(shapes, tasks, tallies).schema


def _two_tools(shape: ToolShape, first: str, one: Action, other: Action) -> str:
    differ = [name for name in ("recovery", "risk", "groups", "args", "facts", "tallies", "hidden", "single")
              if getattr(one, name) != getattr(other, name)]  # fmt: skip
    whose = f"Task '{first}' has" if first == shape.task else f"Tasks '{first}' and '{shape.task}' have"
    return (
        f"{whose} different tools named '{shape.name}' ({', '.join(differ)}). A policy "
        "speaks of tools by name: rename one, as with Tool(function, name=...), or make them the same."
    )


def _schema(actions: Mapping[str, Action], tasks: Sequence[str], tallies: Sequence[str]) -> str:
    groups = {*RESERVED, *(group for action in actions.values() for group in action.groups)}
    return "".join(
        (
            _entities(tasks),
            *(f"action {quoted(group)};\n" for group in sorted(groups)),
            *(_declaration(action, tallies, None) for action in actions.values()),
        )
    )


def _entities(tasks: Sequence[str]) -> str:
    enums = _ENTITIES.format(roles=_strings(Role), envs=_strings(ENVS), labels=_strings(LABELS))
    return f"{enums}{_SOMEBODY}entity Task{f' enum [{_strings(tasks)}]' if tasks else ''};\n"


def sections_of(action: Action, tallies: Sequence[str]) -> dict[str, Record]:
    """What `context` has for a tool."""
    return {
        "run": run_of(tallies),
        "args": action.args,
        "labels": Record(tuple(Field(name, _LABELS) for name in action.labelled)),
        "facts": Record(tuple(field_of(fact) for fact in action.facts)),
    }


def _declaration(action: Action, tallies: Sequence[str], reads: Reads | None) -> str:
    context = sections_of(action, tallies)
    if reads is not None:
        context = {
            section: Record(tuple(one for one in context[section].fields if one.name in names))
            for section, names in reads.items()
        }
    return _applies(action.name, sorted(action.groups), context)


def _applies(name: str, groups: Sequence[str], context: Mapping[str, Record]) -> str:
    sections = ",\n".join(f"    {spelled(section)}: {record.cedar}" for section, record in context.items())
    inside = f" in [{_strings(groups)}]" if groups else ""
    applies = f"{{ principal: Person, resource: Task, context: {{\n{sections} }} }}"
    return f"action {quoted(name)}{inside} appliesTo {applies};\n"


def run_of(tallies: Sequence[str]) -> Record:
    """What `context.run` has."""
    fixed: list[tuple[str, Kind]] = [("env", _ENV), *((name, Long()) for name in _NUMBERS)]
    return Record(tuple(Field(name, kind) for name, kind in (*fixed, *((tally, Amount()) for tally in tallies))))


def _strings(texts: Iterable[str]) -> str:
    return ", ".join(map(quoted, texts))
