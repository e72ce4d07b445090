"""Getting a key set from an address: bounded in time and size, and from nowhere else."""

from __future__ import annotations

import asyncio

import httpx2

from holdfast.identity.key_set import MAX_KEY_SET_BYTES

TIMEOUT_S = 5.0
"""For all of it. A limit on each read alone would let a provider send a byte at a time for ever."""

_OK = 200


async def fetch(url: str) -> bytes:
    """What stands at `url`.

    Raises:
        OSError: it cannot be had; the message says why.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _fetch(url)
    except TimeoutError:
        raise OSError(f"did not answer within {TIMEOUT_S:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError(f"cannot be reached: {error or type(error).__name__}") from error


async def _fetch(url: str) -> bytes:
    # A redirect is not followed: the keys are those of the address that was configured. Nothing compressed is asked
    # for, so that the limit on size is one on what is read.
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    async with (
        httpx2.AsyncClient(follow_redirects=False, timeout=TIMEOUT_S) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code != _OK:
            raise OSError(f"answered {response.status_code}, not 200")
        found = bytearray()
        async for chunk in response.aiter_raw():
            found += chunk
            if len(found) > MAX_KEY_SET_BYTES:
                raise OSError(f"sent more than {MAX_KEY_SET_BYTES} bytes")
        return bytes(found)
