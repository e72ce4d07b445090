"""What the statements about one tool say of a call. Everything that can be done once is done once, here.

Two ways to one answer. Usually one question is put to Cedar, with all statements: it permits, or names the
forbids that fired. Only where nothing but `@ask` forbids fired is there a second one, with the permits alone: an
`@ask` lifts nothing, so what nobody permits stays denied. A request carries only what the statements look at, since
reading it is most of what a verdict costs. Where they look at no argument and no sum, the answer is remembered: what
a call is made of is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from holdfast.domain.rights import Role
from holdfast.guards.policy import cedar
from holdfast.guards.policy.action import Action
from holdfast.guards.policy.kinds import Kind, Unfit
from holdfast.guards.policy.statement import Statement
from holdfast.guards.policy.vocabulary import RUN, Vocabulary, sections_of

Shown: TypeAlias = Mapping[str, Mapping[str, Any]]
"""A request's context, by sections."""

_MOST_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out: whether any statement permits, and those that decided."""

    permitted: bool
    fired: tuple[Statement, ...]
    """The forbids that fired, else the permits that did."""


class Roles:
    """The entities that stand for somebody with certain roles, made once for each set of roles."""

    def __init__(self, schema: cedar.Schema) -> None:
        self._schema = schema
        self._known: dict[frozenset[Role], cedar.Entities] = {}

    def __getitem__(self, roles: frozenset[Role]) -> cedar.Entities:
        found = self._known.get(roles)
        if found is None:
            found = self._known[roles] = cedar.somebody(roles, self._schema)
        return found


class Judge:
    """The statements that can be about one tool, ready to be asked."""

    def __init__(self, action: Action, statements: Iterable[Statement], vocabulary: Vocabulary, roles: Roles) -> None:
        self.action = action
        self.statements = tuple(one for one in statements if one.covers(action))
        self._all = _Bench(action, self.statements, vocabulary, roles)
        self._permits = _Bench(action, [one for one in self.statements if not one.forbids], vocabulary, roles)
        self.looked_at = self._all.looked_at

    def find(self, roles: frozenset[Role], task: str, shown: Shown) -> Finding:
        """What the statements say of a call of which `shown` is what they look at.

        Raises:
            Unfit: Cedar could not evaluate a statement, or would not take the request.
        """
        found = self._all.ask(roles, task, shown)
        if found.permitted or not found.fired or any(one.ask is None for one in found.fired):
            return found
        permitted = self._permits.ask(roles, task, shown).permitted
        return Finding(permitted, found.fired if permitted else ())


class _Bench:
    """Some statements about one tool, parsed, with what they look at."""

    def __init__(self, action: Action, statements: Iterable[Statement], vocabulary: Vocabulary, roles: Roles) -> None:
        self._statements = tuple(statements)
        self.looked_at: dict[str, dict[str, Kind]] = {
            section: {each.name: each.kind for each in record.fields if self._reads(section, each.name)}
            for section, record in sections_of(action, vocabulary.tallies).items()
            if any(section in one.sections for one in self._statements)
        }
        self._schema = cedar.schema(vocabulary.request_schema(action, self.looked_at))
        self._set = cedar.policy_set(one.text for one in self._statements)
        self._roles = roles
        self._uid = {"type": "Action", "id": action.name}
        self._remembers = self.looked_at.keys() <= {"run", "labels"} and self.looked_at.get("run", {}).keys() <= set(
            RUN
        )
        self._remembered: dict[tuple[frozenset[Role], str, str], Finding] = {}

    def ask(self, roles: frozenset[Role], task: str, shown: Shown) -> Finding:
        """What these statements say."""
        context = {
            section: {name: shown[section][name] for name in kinds if name in shown[section]}
            for section, kinds in self.looked_at.items()
        }
        text = orjson.dumps(context).decode()
        if not self._remembers:
            return self._ask(roles, task, text)
        found = self._remembered.get((roles, task, text))
        if found is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[roles, task, text] = self._ask(roles, task, text)
        return found

    def _ask(self, roles: frozenset[Role], task: str, context: str) -> Finding:
        request = {
            "principal": cedar.SOMEBODY,
            "action": self._uid,
            "resource": {"type": "Task", "id": task},
            "context": context,
        }
        said = cedar.ask(request, self._set, self._roles[roles], self._schema)
        if said.errors:
            raise Unfit(said.errors[0])
        return Finding(said.allowed, tuple(self._statements[index] for index in said.fired))

    def _reads(self, section: str, name: str) -> bool:
        return any(section in one.everything or (section, name) in one.reads for one in self._statements)
