"""A tool as policies know it: a Cedar action with its groups, and the types of all that a policy may ask of a call."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter

from holdfast.domain.errors import UserError
from holdfast.domain.recovery import Recovery
from holdfast.guards.policy.arguments import Reading, Unmappable
from holdfast.guards.policy.errors import closest, listed
from holdfast.guards.policy.kinds import Amount, Field, Kind, Record, Unfit, is_model, members
from holdfast.guards.policy.shape import Risk, ToolShape

READS = "reads"
WRITES = "writes"
RESERVED = frozenset({READS, WRITES, *(one.value for one in Recovery), *(one.group for one in Risk)})
"""Groups that there are without anybody declaring them."""

_NOTHING = Record(())


@dataclass(frozen=True, slots=True)
class Fact:
    """A pure function of a tool's arguments, and the type that policies see."""

    name: str
    kind: Kind
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    types: Mapping[str, TypeAdapter[Any]] = field(default_factory=dict[str, TypeAdapter[Any]], compare=False)
    """What the parameters are annotated with: arguments may come in the shapes of JSON, and `Decimal` means one."""

    def value(self, args: Mapping[str, Any]) -> Any:
        """What it says of these arguments, in JSON's shapes. An argument that was not given is None to it.

        Raises:
            Unfit: it failed, or said what its annotation does not.
        """
        try:
            said = self.function(*(self._read(name, args.get(name)) for name in self.parameters))
        except Exception as error:
            raise Unfit(f"its function failed: {type(error).__name__}") from error
        return self.kind.value(said)

    def _read(self, name: str, given: Any) -> Any:
        return given if given is None or name not in self.types else self.types[name].validate_python(given)


@dataclass(frozen=True, slots=True)
class Action:
    """A tool in the vocabulary of policies."""

    name: str
    groups: frozenset[str]
    recovery: Recovery
    risk: Risk | None
    args: Record
    labelled: tuple[str, ...]
    """The arguments whose provenance policies see: all of them, also those that are out of policy."""
    facts: tuple[Fact, ...]
    tallies: Mapping[str, str]
    hidden: bool
    single: str | None

    def args_given(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments by the names of the schema: where a tool takes one model, its fields."""
        if self.single is None or len(args) != 1 or self.single not in args:
            return args
        given = args[self.single]
        if is_model(given) or (
            isinstance(given, Mapping) and cast("Mapping[str, Any]", given).keys() <= self.args.names
        ):
            return members(given)
        return args

    def added(self, args: Mapping[str, Any]) -> dict[str, int]:
        """What the call adds to each tally, in ten-thousandths; `args` by the names of the schema.

        Raises:
            Unfit: an amount is none.
        """
        return added(self.tallies, args)


_AMOUNT = Amount()


def added(tallies: Mapping[str, str], args: Mapping[str, Any]) -> dict[str, int]:
    """What a call adds to each tally, which `tallies` say by argument.

    Raises:
        Unfit: an amount is none.
    """
    found: dict[str, int] = {}
    for tally, name in tallies.items():
        if args.get(name) is not None:
            try:
                found[tally] = _AMOUNT.scaled(args[name])
            except Unfit as unfit:
                raise unfit.inside(name) from None
    return found


def action_of(shape: ToolShape) -> Action:
    """The action of a tool.

    Raises:
        UserError: an argument cannot be mapped, or what is declared of the tool is not so. It names task, tool and
            argument, and what to do.
    """
    told, where = shape.governed, f"Task '{shape.task}': tool '{shape.name}'"
    _check_names(shape, where)
    args, labelled = _arguments(shape, where)
    kinds = {field.name: field.kind for field in args.fields}
    for tally, name in told.tallies.items():
        if not isinstance(kinds.get(name), Amount):
            raise UserError(
                f"{where}: tally '{tally}' adds up '{name}', which is no amount that policies see. Make it a Decimal, "
                f'or say @governed(amounts=("{name}",)).'
            )
    risk = told.risk
    groups = {READS if shape.recovery is Recovery.PURE else WRITES, shape.recovery.value, *told.groups}
    return Action(
        name=shape.name,
        groups=frozenset(groups | ({risk.group} if risk else set())),
        recovery=shape.recovery,
        risk=risk,
        args=args,
        labelled=labelled,
        facts=tuple(_fact(name, function, labelled, shape, where) for name, function in sorted(told.facts.items())),
        tallies=told.tallies,
        hidden=told.hidden or shape.schema is None,
        single=shape.single,
    )


def _check_names(shape: ToolShape, where: str) -> None:
    if shape.name in RESERVED:
        raise UserError(f"{where} has the name of a group that every policy knows. Give it another name.")
    for group in sorted(shape.governed.groups & RESERVED):
        raise UserError(f"{where}: group '{group}' is one that tools are put into by what they are. Name another.")


def _arguments(shape: ToolShape, where: str) -> tuple[Record, tuple[str, ...]]:
    told, schema = shape.governed, shape.schema
    if schema is None:
        if told.amounts or told.out_of_policy or told.tallies:
            raise UserError(f"{where}: its arguments are not known before it runs; nothing can be said of them.")
        return _NOTHING, ()
    names = tuple(schema.get("properties", ()))
    if told.hidden:
        return Record((), frozenset(names)), names
    reading = Reading(schema.get("$defs", {}), told.amounts, told.out_of_policy)
    try:
        args, _ = reading.kind({key: value for key, value in schema.items() if key != "$defs"}, "")
    except Unmappable as fault:
        raise UserError(_unmappable(fault, where)) from None
    assert isinstance(args, Record)
    for name in sorted((told.amounts | told.out_of_policy) - reading.met):
        meant = closest(name, reading.met)
        raise UserError(
            f"{where}: @governed speaks of '{name}', which is no argument of it."
            f"{f' Did you mean {meant!r}?' if meant else ''} There are: {listed(sorted(reading.met))}."
        )
    return args, names


def _unmappable(fault: Unmappable, where: str) -> str:
    if not fault.path:
        return (
            f"{where}: what it takes {fault.why}; a policy cannot be asked about it. Or say "
            "@governed(out_of_policy=True), and no policy sees its arguments."
        )
    return (
        f"{where}: argument '{fault.path}' {fault.why}; a policy cannot be asked about it. Or leave it out of the "
        f'policy: @governed(out_of_policy=("{fault.path}",)).'
    )


def _fact(name: str, function: Callable[..., Any], arguments: tuple[str, ...], shape: ToolShape, where: str) -> Fact:
    parameters = tuple(inspect.signature(function).parameters)
    known = {*arguments, *((shape.single,) if shape.single else ())}
    if shape.schema is not None and (others := [one for one in parameters if one not in known]):
        raise UserError(
            f"{where}: fact '{name}' asks for {listed(map(repr, others))}, which are no arguments of the tool. There "
            f"are: {listed(sorted(known))}."
        )
    try:
        hints = typing.get_type_hints(function, include_extras=True)
        returns = hints["return"]
        types = {name: TypeAdapter[Any](hints[name]) for name in parameters if name in hints}
        schema = TypeAdapter(returns).json_schema(mode="serialization")
        kind, nullable = Reading(schema.get("$defs", {})).kind(schema, name)
    except Exception:  # noqa: BLE001 - annotations are the user's; any that cannot be used says nothing
        kind, nullable, types = None, None, {}
    if kind is None or nullable is not False:
        raise UserError(
            f"{where}: fact '{name}' does not say what it returns. Write it as a function with an annotation, as in "
            f"`def {name}(...) -> bool`: bool, int, Decimal, str, or a set of these."
        )
    return Fact(name, kind, function, parameters, types)


def field_of(fact: Fact) -> Field:
    """The attribute that policies see it as."""
    return Field(fact.name, fact.kind)
