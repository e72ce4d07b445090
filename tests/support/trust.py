"""The certificates that clients trust, read once.

Each client of `httpx2` without a context of its own reads all of the machine's authorities: 20 to 40 ms of CPU. The
tests open thousands of clients, and nearly all speak plain HTTP.
"""

import functools
import os
import ssl

import httpcore2

_read = httpcore2.default_ssl_context


def default_ssl_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    """In place of `httpcore2`'s: one context for each answer of the environment to which certificates they are."""
    named = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")) if _trust_env else (None, None)
    return _known(_trust_env, *named)


@functools.cache
def _known(trust_env: bool, _file: str | None, _dir: str | None) -> ssl.SSLContext:
    return _read(_trust_env=trust_env)
