"""The certificates that clients trust, read once.

Each client of `httpx2` without a context of its own reads all of the machine's authorities: 20 to 40 ms of CPU. The
tests open thousands of clients, and nearly all speak plain HTTP.
"""

import functools
import os
import ssl

import httpcore2

_read = httpcore2.default_ssl_context
_known = functools.cache(_read)


def default_ssl_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    """In place of `httpcore2`'s. Where the environment names other certificates, they are read as ever."""
    named = _trust_env and ("SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ)
    return (_read if named else _known)(_trust_env=_trust_env)
