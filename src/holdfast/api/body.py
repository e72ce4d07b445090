"""Request bodies: received in bounds of size and time, and understood strictly."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.api.problems import InvalidRequest
from holdfast.domain.errors import RequestError, TooLarge
from holdfast.service.content import check_json

if TYPE_CHECKING:
    from starlette.requests import Request

B = TypeVar("B", bound=BaseModel)

MAX_BODY_S = 30.0
"""How long a body may take: a mebibyte arrives in it by 280 kbit/s. Without a bound, whoever sends a byte an hour holds
a socket, and what came so far, for as long."""


class SlowBody(RequestError):
    """The body does not arrive."""

    slug = "slow-body"
    status = 408


class MalformedJson(RequestError):
    """The body is not JSON."""

    slug = "malformed-json"
    status = 400


class UnsupportedMediaType(RequestError):
    """The body is not declared as JSON."""

    slug = "unsupported-media-type"
    status = 415


async def read_body(request: Request, model: type[B], *, optional: bool = False) -> B:
    """The body as `model`; where it is `optional`, none stands for `{}`.

    Raises:
        RequestError: it is too large, does not arrive, is not JSON, or does not fit.
    """
    raw = await read_bytes(request, request.app.state.max_body_bytes)
    if not raw and optional:
        return model()
    _check_media_type(request)
    value = _parse(raw)
    check_json(value, what="body")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest.of_body(error) from None


async def read_bytes(request: Request, limit: int) -> bytes:
    """The body as it was sent: the one that came past the gate, where the route has one.

    Raises:
        TooLarge: it has more than `limit` bytes.
        SlowBody: it took too long.
    """
    admitted: bytes | None = getattr(request.state, "body", None)
    if admitted is None:
        return await receive_body(request, limit)
    if len(admitted) > limit:
        raise _too_large(limit)
    return admitted


async def receive_body(request: Request, limit: int) -> bytes:
    """The body from the socket, once.

    Raises:
        TooLarge: it has more than `limit` bytes.
        SlowBody: it took longer than the interface allows.
    """
    most_s: float = request.app.state.max_body_s
    try:
        async with asyncio.timeout(most_s):
            return await _received(request, limit)
    except TimeoutError:
        raise SlowBody(
            f"The body did not arrive within {most_s:g} s, and nothing was done. Send all of it at once, or less."
        ) from None


async def _received(request: Request, limit: int) -> bytes:
    # What arrives is counted: a Content-Length can lie, and a chunked body has none.
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes. Send less, or a reference to it.")


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType(
            f"The body is declared as '{given[:80]}'. Send JSON with Content-Type: application/json."
            if given
            else "The body's type is not declared. Send JSON with Content-Type: application/json."
        )


def _parse(raw: bytes) -> Any:
    # The standard parser and not orjson: an integer beyond 64 bits must be refused, not become a float.
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise MalformedJson("The body nests too deep to be read. Flatten it.") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8: byte {error.start} does not belong there.") from None
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON: {error}.") from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number
