"""The types of Cedar that arguments are mapped to. Each knows its name in a schema, and the values that fit it.

A value that does not fit is refused with a sentence, never bent: an amount is not rounded, a number does not wrap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Context, Decimal, Inexact
from enum import Enum
from typing import Any, TypeAlias, cast

from pydantic import AliasChoices, BaseModel
from pydantic_core import to_jsonable_python

LARGEST = 2**63 - 1
PLACES = 4
SCALE = 10**PLACES
_MOST_DIGITS_BEFORE_POINT = 15
EXACT = Context(prec=40, traps=[Inexact])
"""Of our own: what users set for their threads must not round here."""
_NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RESERVED = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"})


class Unfit(Exception):
    """A value that a policy cannot be shown as it is."""

    def __init__(self, why: str, place: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.why = why
        self.place = place

    def inside(self, name: str) -> Unfit:
        """The same, seen from outside of `name`."""
        return Unfit(self.why, (name, *self.place))


@dataclass(frozen=True, slots=True)
class Bool:
    """`Bool`."""

    @property
    def cedar(self) -> str:
        """Its name in a schema."""
        return "Bool"

    def value(self, given: Any) -> bool:
        """As Cedar's JSON has it."""
        given = _plain(given)
        if isinstance(given, bool):
            return given
        raise Unfit(f"{_shown(given)} is not true or false")


@dataclass(frozen=True, slots=True)
class Long:
    """`Long`: 64 bits."""

    @property
    def cedar(self) -> str:
        """Its name in a schema."""
        return "Long"

    def value(self, given: Any) -> int:
        """As Cedar's JSON has it."""
        given = _plain(given)
        if isinstance(given, float) and given.is_integer():  # 3.0 is an integer to JSON
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, int):
            raise Unfit(f"{_shown(given)} is not a whole number")
        if not -LARGEST - 1 <= given <= LARGEST:
            raise Unfit("the number does not fit in 64 bits")
        return int(given)


@dataclass(frozen=True, slots=True)
class Text:
    """`String`: texts, members of enumerations, dates and all else that JSON writes as a string."""

    among: tuple[str, ...] = ()
    """The only texts that there are. Empty: any."""

    @property
    def cedar(self) -> str:
        """Its name in a schema."""
        return "String"

    def value(self, given: Any) -> str:
        """As Cedar's JSON has it."""
        given = _plain(given)
        if not isinstance(given, str):
            given = to_jsonable_python(given)
        if not isinstance(given, str):
            raise Unfit(f"{_shown(given)} is not a text")
        return str(given)


@dataclass(frozen=True, slots=True)
class Amount:
    """`decimal`: up to four places, up to 922337203685477.5807."""

    @property
    def cedar(self) -> str:
        """Its name in a schema."""
        return "decimal"

    def value(self, given: Any) -> str:
        """As Cedar's JSON has it."""
        return decimal_text(self.scaled(given))

    def scaled(self, given: Any) -> int:
        """In ten-thousandths."""
        number = _number(_plain(given))
        if not number:
            return 0
        if number.adjusted() > _MOST_DIGITS_BEFORE_POINT:
            raise Unfit("the amount is too large")
        try:
            moved = number.scaleb(PLACES, EXACT)
            found = int(moved)
        except Inexact:
            moved = found = None
        if found is None or found != moved:
            raise Unfit(f"the amount has more than {PLACES} decimal places")
        if not -LARGEST - 1 <= found <= LARGEST:
            raise Unfit("the amount is too large")
        return found


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an enumeration of the schema's own: an environment, a label."""

    cedar: str
    """Its name in a schema."""
    among: tuple[str, ...]

    def value(self, given: Any) -> dict[str, str]:
        """As Cedar's JSON has it."""
        if given not in self.among:
            raise Unfit(f"'{given}' is not one of {', '.join(self.among)}")
        return {"type": self.cedar, "id": str(given)}


@dataclass(frozen=True, slots=True)
class SetOf:
    """`Set<...>`: any list; order and repetition are lost."""

    items: Kind

    @property
    def cedar(self) -> str:
        """Its name in a schema."""
        return f"Set<{self.items.cedar}>"

    def value(self, given: Any) -> list[Any]:
        """As Cedar's JSON has it."""
        if isinstance(given, str | bytes) or not isinstance(given, Sequence | AbstractSet):
            raise Unfit(f"{_shown(given)} is not a list")
        return [self.items.value(item) for item in cast("Sequence[Any]", given) if item is not None]


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute of a record."""

    name: str
    kind: Kind
    optional: bool = False
    default: Any = None
    """What is meant where none is given, in JSON's shapes; None for nothing."""

    @property
    def cedar(self) -> str:
        """As a schema declares it."""
        return f"{spelled(self.name)}{'?' if self.optional else ''}: {self.kind.cedar}"


@dataclass(frozen=True, slots=True)
class Record:
    """A record: a model, a dataclass, a dictionary of known keys."""

    fields: tuple[Field, ...]
    unseen: frozenset[str] = frozenset()
    """Names that values may have and policies do not see."""
    names: frozenset[str] = field(init=False, compare=False)
    """All that a value may have."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", self.unseen | {each.name for each in self.fields})

    @property
    def cedar(self) -> str:
        """Its name in a schema."""
        return f"{{{', '.join(each.cedar for each in self.fields)}}}"

    def value(self, given: Any) -> dict[str, Any]:
        """As Cedar's JSON has it. What is None is left out."""
        named = members(given)
        found: dict[str, Any] = {}
        for each in self.fields:
            item = named.get(each.name)
            if item is None:
                item = each.default if each.name not in named else None
            if item is not None:
                try:
                    found[each.name] = each.kind.value(item)
                except Unfit as unfit:
                    raise unfit.inside(each.name) from None
            elif not each.optional:
                raise Unfit("it is missing", (each.name,))
        if others := named.keys() - self.names:
            raise Unfit("the tool's schema does not have it", (min(others),))
        return found


Kind: TypeAlias = Bool | Long | Text | Amount | Member | SetOf | Record


def members(given: Any) -> Mapping[str, Any]:
    """The attributes of a value by the names that its JSON schema gives them."""
    if isinstance(given, dict | Mapping):  # a dict is told at once, a Mapping is not
        return cast("Mapping[str, Any]", given)
    if isinstance(given, BaseModel):
        return {_spelling(name, info): getattr(given, name) for name, info in type(given).model_fields.items()}
    if is_dataclass(given) and not isinstance(given, type):
        return {each.name: getattr(given, each.name) for each in fields(given)}
    raise Unfit(f"{_shown(given)} is not a record")


def is_model(given: Any) -> bool:
    """Whether it is an instance of a model or a dataclass: what validation makes, and JSON never holds."""
    return isinstance(given, BaseModel) or (is_dataclass(given) and not isinstance(given, type))


def _spelling(name: str, info: Any) -> str:
    alias = info.validation_alias or info.alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else name


def spelled(name: str) -> str:
    """`name` as an attribute in a schema, quoted where Cedar would not take it as it is."""
    return name if _IDENTIFIER.fullmatch(name) and name not in _RESERVED else quoted(name)


def quoted(text: str) -> str:
    """`text` as a string of Cedar's."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
    return f'"{"".join(escapes.get(letter, letter) for letter in text)}"'


def decimal_text(scaled: int) -> str:
    """Ten-thousandths as Cedar writes a decimal."""
    whole, part = divmod(abs(scaled), SCALE)
    return f"{'-' if scaled < 0 else ''}{whole}.{part:0{PLACES}d}"


def _plain(given: Any) -> Any:
    return given.value if isinstance(given, Enum) else given


def _number(given: Any) -> Decimal:
    if isinstance(given, Decimal):
        number = given
    elif isinstance(given, int | float) and not isinstance(given, bool):
        number = Decimal(repr(given))  # a float of JSON means the number that was written
    elif isinstance(given, str) and _NUMERAL.fullmatch(given):
        number = Decimal(given)
    else:
        raise Unfit(f"{_shown(given)} is not an amount")
    if not number.is_finite():
        raise Unfit("it is not a finite amount")
    return number


def _shown(given: Any) -> str:
    """What kind of thing it is. Not what it says: reasons go to logs, arguments do not."""
    return "nothing" if given is None else f"a value of type {type(given).__name__}"
