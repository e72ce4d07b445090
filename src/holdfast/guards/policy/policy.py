"""A policy that was loaded, and its verdicts.

A call is allowed if a `permit` covers it and no `forbid` fires. Of forbids that fire, one without `@ask` denies; all
others together ask whoever covers each of them. Whatever goes wrong on the way is a deny: an argument that does not
fit, a fact that cannot be computed, an error while a statement is evaluated. `Policy.verdict` does not raise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from typing import Any

from holdfast.domain.verdict import Ask, Decision, Facts, Verdict
from holdfast.guards.policy import cedar
from holdfast.guards.policy.action import Action
from holdfast.guards.policy.errors import closest
from holdfast.guards.policy.judge import Finding, Judge, Roles, Shown
from holdfast.guards.policy.kinds import EXACT, PLACES, Kind, Unfit
from holdfast.guards.policy.statement import Statement
from holdfast.guards.policy.vocabulary import RUN, Vocabulary

_UNTRUSTED = frozenset({"untrusted"})
_LAST_HOUR = 23
_LAST_WEEKDAY = 7
_WHOLE = 100


class Policy:
    """A policy in force. Made by `load`."""

    def __init__(self, source: str, path: str, vocabulary: Vocabulary, statements: Iterable[Statement]) -> None:
        self.source = source
        self.path = path
        """As it was given: for people."""
        self.vocabulary = vocabulary
        self.statements = tuple(statements)
        self.digest = hashlib.sha256(f"{source}\0{vocabulary.schema}".encode()).hexdigest()[:16]
        self._roles = Roles(cedar.schema(vocabulary.schema))
        self._judges: dict[str, Judge] = {}

    @property
    def undeclared(self) -> tuple[str, ...]:
        """The tools that no statement names, by their own name or a group's. A statement about all names none."""
        return tuple(
            name
            for name, action in self.vocabulary.actions.items()
            if not any(one.names is not None and one.covers(action) for one in self.statements)
        )

    def about(self, tool: str) -> tuple[Statement, ...]:
        """The statements that can have a part in a verdict on this tool."""
        action = self.vocabulary.actions.get(tool)
        return () if action is None else self._judge(action).statements

    def looked_at(self, tool: str) -> Mapping[str, Mapping[str, Kind]]:
        """What of a call of this tool those statements look at: sections of `context`, names, and their types."""
        action = self.vocabulary.actions.get(tool)
        return {} if action is None else self._judge(action).looked_at

    def added(self, tool: str, args: Mapping[str, Any]) -> dict[str, int]:
        """What the call adds to each tally, in ten-thousandths.

        Raises:
            Unfit: an amount is none.
        """
        action = self.vocabulary.actions.get(tool)
        return {} if action is None else action.added(action.args_given(args))

    def tallies(self, tool: str) -> frozenset[str]:
        """The sums that a verdict on this tool looks at, and those that its calls add to."""
        action = self.vocabulary.actions.get(tool)
        if action is None:
            return frozenset()
        looked_at = self._judge(action).looked_at.get("run", {})
        return frozenset(action.tallies) | (frozenset(self.vocabulary.tallies) & looked_at.keys())

    def uses_labels(self, tool: str) -> bool:
        """Whether a verdict on this tool looks at where its arguments came from."""
        action = self.vocabulary.actions.get(tool)
        return action is not None and "labels" in self._judge(action).looked_at

    def uses_budget(self, tool: str) -> bool:
        """Whether a verdict on this tool looks at how much is left of what its run may spend."""
        action = self.vocabulary.actions.get(tool)
        return action is not None and "budget_left" in self._judge(action).looked_at.get("run", {})

    def verdict(
        self, tool: str, args: Mapping[str, Any], facts: Facts, *, declared: Mapping[str, Any] | None = None
    ) -> Verdict:
        """What becomes of a call. Never raises: what cannot be judged is denied.

        Args:
            tool: the tool's name.
            args: its arguments: the validated values that the tool receives, or the shapes that JSON has for them.
            facts: what is known beside the call.
            declared: what functions of the tool say of these arguments, by name. Default: they are asked.
        """
        action = self.vocabulary.actions.get(tool)
        if action is None:
            return self._unknown(tool)
        try:
            return self._verdict(action, args, facts, declared)
        except Unfit as unfit:
            where = f"'{'.'.join(unfit.place)}': " if unfit.place else ""
            return self._denied(f"The policy cannot judge this call of '{tool}': {where}{unfit.why}.")
        except Exception as error:  # noqa: BLE001 - a fault here must not open the gate, nor end the run
            return self._denied(f"The policy cannot judge this call of '{tool}': {type(error).__name__}.")

    def _verdict(
        self, action: Action, args: Mapping[str, Any], facts: Facts, declared: Mapping[str, Any] | None
    ) -> Verdict:
        judge = self._judge(action)
        if facts.task not in self.vocabulary.tasks:
            raise Unfit(f"there is no task '{facts.task}'")
        action.added(action.args_given(args))  # an amount that cannot be counted is none to be spent
        shown = self._shown(judge, args, facts, declared)
        said = self._said(action, facts, judge.find(facts.roles, facts.task, shown))
        return replace(said, **_on(shown)) if shown["run"] or shown["facts"] else said

    def _said(self, action: Action, facts: Facts, found: Finding) -> Verdict:
        rules = tuple(one.rule for one in found.fired)
        if found.fired and found.fired[0].forbids:
            asks = [one.ask for one in found.fired if one.ask is not None]
            if len(asks) < len(found.fired):
                hard = tuple(one for one in found.fired if one.ask is None)
                why = _because(hard, f"The policy forbids this call of '{action.name}'")
                return replace(self._denied(why), rules=tuple(one.rule for one in hard))
            ask = reduce(Ask.with_, asks)
            why = _because(found.fired, f"The policy asks {_whom(ask)} before this call of '{action.name}'")
            return Verdict(Decision.ASK, self.digest, why, ask, rules)
        if found.permitted:
            return Verdict(Decision.ALLOW, self.digest, rules=rules)
        roles = ", ".join(sorted(facts.roles)) or "nobody"
        return self._denied(f"The policy permits no call of '{action.name}' like this one to: {roles}.")

    def _shown(
        self, judge: Judge, args: Mapping[str, Any], facts: Facts, declared: Mapping[str, Any] | None
    ) -> dict[str, dict[str, Any]]:
        """What the statements look at.

        Arguments are mapped even where nothing looks at them: one that does not fit is none that the tool takes.
        """
        action, looked_at = judge.action, judge.looked_at
        given = action.args_given(args)
        run = {
            name: kind.value(self._run(name, action, given, facts)) for name, kind in looked_at.get("run", {}).items()
        }
        labels = {
            name: kind.value((facts.labels.get(name) or _UNTRUSTED) if name in given else ())
            for name, kind in looked_at.get("labels", {}).items()
        }
        wanted = looked_at.get("facts", {})
        if declared is None:
            declared = _facts(action, args, given, wanted)
        said = {name: _fact(name, kind, declared) for name, kind in wanted.items()}
        shown = {} if action.hidden else action.args.value(given)
        return {"run": run, "args": shown, "labels": labels, "facts": said}

    def _run(self, name: str, action: Action, given: Mapping[str, Any], facts: Facts) -> Any:
        match name:
            case "env" | "depth" | "steps":
                return getattr(facts, name)
            case "local_hour":
                return _within(facts.local_hour, 0, _LAST_HOUR, "the hour")
            case "local_weekday":
                return _within(facts.local_weekday, 1, _LAST_WEEKDAY, "the weekday")
            case "budget_left":
                return _within(facts.budget_left, 0, _WHOLE, "what is left of the budget, in percent,")
            case _:
                return _tallied(name, action, given, facts)

    def _judge(self, action: Action) -> Judge:
        found = self._judges.get(action.name)
        if found is None:
            found = self._judges[action.name] = Judge(action, self.statements, self.vocabulary, self._roles)
        return found

    def _unknown(self, tool: str) -> Verdict:
        known = self.vocabulary.actions
        meant = closest(tool, known)
        hint = f" Did you mean '{meant}'?" if meant else ""
        return self._denied(f"The policy knows no tool '{tool}', so that it is denied.{hint}")

    def _denied(self, reason: str) -> Verdict:
        return Verdict(Decision.DENY, self.digest, reason)


def _on(shown: Shown) -> dict[str, Mapping[str, Any]]:
    """What a verdict was made on, beside the arguments and where they came from. A sum tells what an argument was."""
    seen = {name: value for name, value in shown["run"].items() if name in RUN}
    if "env" in seen:
        seen["env"] = seen["env"]["id"]
    sums = {f"run.{name}": value for name, value in shown["run"].items() if name not in RUN}
    return {"seen": seen, "facts": {**sums, **shown["facts"]}}


def _facts(
    action: Action, args: Mapping[str, Any], given: Mapping[str, Any], wanted: Iterable[str] | None = None
) -> dict[str, Any]:
    if action.single is not None:  # its fields can be asked for as well as the model
        args = {**given, **args}
    found: dict[str, Any] = {}
    for fact in action.facts:
        if wanted is None or fact.name in wanted:
            try:
                found[fact.name] = fact.value(args)
            except Unfit as unfit:
                raise unfit.inside(fact.name).inside("facts") from None
    return found


def _fact(name: str, kind: Kind, declared: Mapping[str, Any]) -> Any:
    try:
        return kind.value(declared[name])
    except KeyError:
        raise Unfit("it is missing", ("facts", name)) from None


def _tallied(name: str, action: Action, given: Mapping[str, Any], facts: Facts) -> Decimal:
    """A tally with this call in it: Cedar cannot add, and a limit is about what will have been reached."""
    if name not in facts.tallies:
        raise Unfit("it was not counted", ("run", name))
    return Decimal(facts.tallies[name] + action.added(given).get(name, 0)).scaleb(-PLACES, EXACT)


def _within(number: int, low: int, high: int, what: str) -> int:
    if not low <= number <= high:
        raise Unfit(f"{what} is {number}")
    return number


def _whom(ask: Ask) -> str:
    return "whoever the run is for" if ask.role is None else f"{'an ' if ask.count == 1 else ''}{ask}"


def _because(fired: Iterable[Statement], opening: str) -> str:
    reasons = " ".join(dict.fromkeys(f"{one.reason.rstrip('. ')}." for one in fired if one.reason))
    return f"{opening}: {reasons}" if reasons else f"{opening}."
