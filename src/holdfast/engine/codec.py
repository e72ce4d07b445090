"""Between the framework's values and stored bytes.

Text that JSON cannot carry as it is (a lone surrogate, which a provider can produce by cutting a string) is
escaped on the way out and read back as it was.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_ai.durable_exec import JSON_CODEC
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolReturn
from pydantic_core import PydanticSerializationError

from holdfast.engine.plain import dump_plain
from holdfast.engine.usage import in_whole

# Each kind by its own: asked for the union, the serialiser tries what fits, for every message anew.
_MESSAGES: dict[type[Any], TypeAdapter[Any]] = {cls: TypeAdapter(cls) for cls in (ModelRequest, ModelResponse)}
_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_ARGS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_TOOL_RETURN: TypeAdapter[Any] = TypeAdapter(ToolReturn[Any])


class Unserialisable(Exception):
    """A value has no stored form. The message says which and why."""


_PLAIN = frozenset({str, int, bool, type(None)})
"""What JSON says in one way only: its fastest writer will do."""


def _dump(adapter: TypeAdapter[Any], value: Any) -> bytes:
    try:
        return adapter.serializer.to_json(value)
    except PydanticSerializationError as error:
        if "surrogates" not in str(error):
            raise Unserialisable(f"{type(value).__name__} cannot be stored: {error}") from error
        return json.dumps(adapter.dump_python(value, mode="json"), separators=(",", ":")).encode("ascii")
    except (ValueError, TypeError, RecursionError) as error:
        raise Unserialisable(f"{type(value).__name__} cannot be stored: {error}") from error


_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def parse(raw: bytes) -> Any:
    """JSON as Python shapes, escapes of lone surrogates and numbers of any length included."""
    if _LONG_NUMBER.search(raw) is not None:
        # orjson would read an integer beyond 64 bits as a float.
        return json.loads(raw)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return json.loads(raw)


def canonical(value: Any) -> bytes:
    """A JSON shape in its one form: keys in order."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number beyond 64 bits, or a lone surrogate
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def dump_message(message: ModelMessage) -> bytes:
    """A message as stored."""
    if isinstance(message, ModelResponse) and (usage := in_whole(message.usage)) is not message.usage:
        message = replace(message, usage=usage)
    return dump_plain(message, _dump_message) or _dump_message(message)


def _dump_message(message: ModelMessage) -> bytes:
    return _dump(_MESSAGES[type(message)], message)


def load_message(raw: bytes) -> ModelMessage:
    """A message as it was stored, files of tool results included."""
    return JSON_CODEC.load(ModelMessage, parse(raw))


def dump_args(args: dict[str, Any]) -> bytes:
    """Validated tool arguments as stored."""
    if _PLAIN.issuperset(map(type, args.values())) and (dumped := _dump_plain(args)) is not None:
        return dumped
    return _dump(_ARGS, args)


def _dump_plain(value: Any) -> bytes | None:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a number beyond 64 bits, a lone surrogate
        return None


def dump_json(value: Any) -> bytes:
    """Any value as stored, by its own type."""
    return _dump(_ANY, value)


def dump_result(value: Any) -> bytes:
    """A tool's result: its kind, and its value as its type writes it."""
    if isinstance(value, ToolReturn):
        return b'{"kind":"return","value":' + _dump(_TOOL_RETURN, value) + b"}"
    cls = cast("type[Any]", type(value))
    dumped = _dump_plain(value) if cls in _PLAIN else None
    return b'{"kind":"value","value":' + (dumped or _dump(_adapter_of(cls), value)) + b"}"


def load_result(raw: bytes, returns: Any = Any) -> Any:
    """A tool's result, of the type the tool declares where it still fits, else as JSON shapes."""
    stored = parse(raw)
    if stored["kind"] == "return":
        return JSON_CODEC.load(ToolReturn[Any], stored["value"])
    if returns is Any:
        return JSON_CODEC.load(_content_type(), stored["value"])
    try:
        return JSON_CODEC.load(returns, stored["value"])
    except ValidationError:
        return stored["value"]


@lru_cache(maxsize=1)
def _content_type() -> Any:
    # Files and images inside an undeclared result come back as what they were, not as dictionaries.
    from pydantic_ai.messages import ToolReturnContent

    return ToolReturnContent


@lru_cache(maxsize=512)
def _adapter_of(cls: type[Any]) -> TypeAdapter[Any]:
    # By the value's own class: `Any` would infer the same, but each time anew.
    return _ANY if cls.__module__ == "builtins" else _adapter_or_any(cls)


def _adapter_or_any(cls: type[Any]) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(cls)
    except Exception:  # noqa: BLE001 - a class Pydantic cannot describe is tried as Any and may fail there
        return _ANY


def same_structure(left: Any, right: Any) -> bool:
    """Whether two JSON shapes are equal, lists compared without order: sets have none."""
    return _unordered(left) == _unordered(right)


def only_given(value: Any, given: Any) -> Any:
    """Validated arguments without what the model did not write: default factories make something new each time."""
    if isinstance(value, dict) and isinstance(given, dict):
        args, written = cast("dict[str, Any]", value), cast("dict[str, Any]", given)
        if len(args) == 1 and not args.keys() & written.keys():
            # A tool with one model as its only parameter: the model writes that model's fields.
            return {name: only_given(item, given) for name, item in args.items()}
        return {name: only_given(item, written[name]) for name, item in args.items() if name in written}
    if isinstance(value, list) and isinstance(given, list):
        items, wrote = cast("list[Any]", value), cast("list[Any]", given)
        if len(items) == len(wrote):
            return [only_given(item, one) for item, one in zip(items, wrote, strict=True)]
    return cast("Any", value)


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unordered(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return sorted(json.dumps(_unordered(item), sort_keys=True) for item in cast("list[Any]", value))
    return value
