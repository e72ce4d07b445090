"""Events as they are stored: `dump` and `load` are the only way between an event and its body.

Every body carries the schema version `v` of its type; `load` accepts every version ever written.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

import orjson
from pydantic import TypeAdapter

from holdfast.domain.errors import HoldfastError
from holdfast.domain.events import EVENT_TYPES, AnyEvent

_adapters: dict[str, TypeAdapter[Any]] = {}


class UnknownEvent(HoldfastError):
    """The journal holds a type or version that this code is too old to know."""


def dump(event: AnyEvent) -> bytes:
    """The stored body: UTF-8 JSON whose exact bytes are hashed.

    A lone surrogate, as a name made up by a model may hold, has no UTF-8: it is written as the six visible
    characters of its escape (a backslash, `u`, four digits) and stays that, so that no reader ever meets one.

    Raises:
        orjson.JSONEncodeError: a value cannot be written as JSON (an integer beyond 64 bits, an unknown type).
    """
    try:
        return orjson.dumps({"v": event.version, "e": event}, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError:
        return orjson.dumps({"v": event.version, "e": _without_surrogates(asdict(event))})


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {_without_surrogates(key): _without_surrogates(item) for key, item in items}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in cast("list[Any]", value)]
    return value


def load(type_: str, body: bytes) -> AnyEvent:
    """The event that `dump` wrote, of this or any earlier version.

    Raises:
        UnknownEvent: the type or version is newer than this code.
    """
    cls = EVENT_TYPES.get(type_)
    raw = orjson.loads(body)
    if cls is None or raw["v"] > cls.version:
        raise UnknownEvent(
            f"The journal holds a '{type_}' event of version {raw['v']}, written by a newer Holdfast. "
            "Run a worker of that version or newer."
        )
    adapter = _adapters.get(type_)
    if adapter is None:
        adapter = _adapters[type_] = TypeAdapter(cls)
    return adapter.validate_python(raw["e"])
