"""From the JSON schema of a tool's arguments to Cedar's types, once, when the tool is registered.

Total: every argument is mapped, or the tool is refused with what to do. What cannot be mapped: floats (money
compared as a float is a rule that holds by luck), dictionaries of any keys, values of several types, models that
contain themselves.

How an amount is known: Pydantic describes a `Decimal` as a number or a string. So is `float | str`, which nobody
means; it is taken for an amount too. Elsewhere `amounts` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from holdfast.guards.policy.kinds import Amount, Bool, Field, Kind, Long, Record, SetOf, Text, Unfit

_SCALARS: dict[str, Kind] = {"boolean": Bool(), "integer": Long(), "string": Text()}
_AMOUNT = {"number", "string"}
_AMOUNTS = ({"integer"}, {"number"}, {"string"}, _AMOUNT, {"integer", "number"}, {"integer", *_AMOUNT})
_LITERALS: dict[type, Kind] = {bool: Bool(), int: Long()}
_FLOAT = (
    "is a float. Make it a Decimal or an int; if it is an amount of at most four places, say "
    '@governed(amounts=("{name}",))'
)


class Unmappable(Exception):
    """An argument that has no type in Cedar."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


@dataclass(slots=True)
class Reading:
    """One schema being read: its definitions, what is declared of it, and which declarations were met."""

    definitions: Mapping[str, Any]
    amounts: frozenset[str] = frozenset()
    out: frozenset[str] = frozenset()
    met: set[str] = field(default_factory=set[str])

    def record(self, schema: Mapping[str, Any], path: str = "", within: tuple[str, ...] = ()) -> Record:
        """The type of an object.

        Raises:
            Unmappable: something in it has none.
        """
        if schema.get("additionalProperties") or "patternProperties" in schema:
            raise Unmappable(path, "is a dictionary whose keys are not known. Make it a model, or a list of models")
        required = set[str](schema.get("required", ()))
        found: list[Field] = []
        unseen: set[str] = set()
        for name, one in cast("Mapping[str, Any]", schema.get("properties", {})).items():
            inner = f"{path}.{name}" if path else name
            self.met.add(inner)
            if inner in self.out:
                unseen.add(name)
            else:
                found.append(self._field(name, one, inner, within, given=name in required))
        return Record(tuple(found), frozenset(unseen))

    def _field(self, name: str, schema: Any, path: str, within: tuple[str, ...], *, given: bool) -> Field:
        kind, nullable = self.kind(schema, path, within)
        default = cast("Mapping[str, Any]", schema).get("default") if isinstance(schema, Mapping) else None
        if default is None or given:
            return Field(name, kind, optional=nullable or not given)
        try:
            kind.value(default)
        except Unfit as unfit:
            raise Unmappable(path, f"has a default that cannot be mapped: {unfit.why}") from None
        return Field(name, kind, optional=nullable, default=default)

    def kind(self, schema: Any, path: str, within: tuple[str, ...] = ()) -> tuple[Kind, bool]:
        """The type, and whether it may be None.

        Raises:
            Unmappable: there is none.
        """
        branches, within = self._branches(schema, path, within)
        some = [one for one in branches if not _is_null(one)]
        nullable = len(some) < len(branches)
        if not some:
            raise Unmappable(path, "is always None")
        types = [_type_of(one) for one in some]
        if path in self.amounts:
            return self._amount(some, types, path, within), nullable
        if set(types) in (_AMOUNT, {"integer", *_AMOUNT}):
            return Amount(), nullable
        kinds = [self._one(one, path, within) for one in some]
        if all(isinstance(kind, Text) for kind in kinds):
            return _text_of(cast("list[Text]", kinds)), nullable
        if any(kind != kinds[0] for kind in kinds):
            raise Unmappable(path, "may have values of several types. Give it one type")
        return kinds[0], nullable

    def _branches(
        self, schema: Any, path: str, within: tuple[str, ...]
    ) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
        """The schemas that a value may fit, with references followed and unions taken apart."""
        if not isinstance(schema, Mapping):
            raise Unmappable(path, "may be anything. Give it a type")
        schema = cast("Mapping[str, Any]", schema)
        parts: Sequence[Any]
        if (reference := schema.get("$ref")) is not None:
            if reference in within:
                raise Unmappable(path, "is a model that contains itself, which Cedar cannot describe")
            within, parts = (*within, reference), [self._definition(reference, path)]
        elif len(cast("Sequence[Any]", schema.get("allOf", ()))) == 1:
            parts = schema["allOf"]
        elif (one_of := schema.get("anyOf") or schema.get("oneOf")) is not None:
            parts = one_of
        elif isinstance(schema.get("type"), list):
            parts = [{**schema, "type": one} for one in cast("list[str]", schema["type"])]
        else:
            return [schema], within
        found: list[Mapping[str, Any]] = []
        inside = within
        for part in parts:
            branches, deeper = self._branches(part, path, within)
            found += branches
            inside = (*inside, *deeper)
        return found, inside

    def _definition(self, reference: str, path: str) -> Any:
        name = reference.removeprefix("#/$defs/")
        if name not in self.definitions:
            raise Unmappable(path, f"refers to '{reference}', which its schema does not define")
        return self.definitions[name]

    def _one(self, schema: Mapping[str, Any], path: str, within: tuple[str, ...]) -> Kind:
        literals: Sequence[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
        if literals is not None:
            return _of_literals([one for one in literals if one is not None], path)
        match _type_of(schema):
            case "boolean" | "integer" | "string" as name:
                return _SCALARS[name]
            case "number":
                raise Unmappable(path, _FLOAT.format(name=path))
            case "array":
                if "prefixItems" in schema:
                    raise Unmappable(path, "is a tuple of several types. Make it a model")
                kind, _ = self.kind(schema.get("items"), path, within)
                return SetOf(kind)
            case "object":
                return self.record(schema, path, within)
            case _:
                raise Unmappable(path, "may be anything. Give it a type")

    def _amount(self, some: list[Mapping[str, Any]], types: list[str], path: str, within: tuple[str, ...]) -> Kind:
        if set(types) in _AMOUNTS:
            return Amount()
        if types == ["array"]:
            kind, _ = self.kind(some[0].get("items"), path, within)
            return SetOf(kind)
        raise Unmappable(path, "is declared an amount and is no number")


def _type_of(schema: Mapping[str, Any]) -> str:
    found = schema.get("type")
    if found is None and "properties" in schema:
        return "object"
    return found if isinstance(found, str) else ""


def _is_null(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "null" or ("const" in schema and schema["const"] is None)


def _text_of(kinds: Sequence[Text]) -> Text:
    among = {text for kind in kinds for text in kind.among}
    return Text(tuple(sorted(among)) if all(kind.among for kind in kinds) else ())


def _of_literals(literals: Sequence[Any], path: str) -> Kind:
    if literals and all(isinstance(one, str) for one in literals):
        return Text(tuple(sorted(cast("Sequence[str]", literals))))
    for kind, mapped in _LITERALS.items():
        if literals and all(type(one) is kind for one in literals):
            return mapped
    raise Unmappable(path, "is an enumeration of values that are not all texts, or all whole numbers")
