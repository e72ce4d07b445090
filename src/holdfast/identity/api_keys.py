"""API keys: how they are made and read. What is stored of one is its SHA-256.

A key is `hf_<tenant>_<secret>`: the tenant's id says where to look it up, so that authentication stays inside one
tenant; the secret has 256 random bits, which is why a fast digest without salt is enough.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

PREFIX = "hf_"
_SECRET_BYTES = 32
_FORM = re.compile(r"hf_([0-9a-f]{32})_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. Its text is shown once, when it is made."""

    tenant: UUID
    text: str = field(repr=False)

    @classmethod
    def generate(cls, tenant: UUID) -> Self:
        """A new key of this tenant."""
        return cls(tenant, f"{PREFIX}{tenant.hex}_{secrets.token_urlsafe(_SECRET_BYTES)}")

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The key that this text is, or None where it has not the form of one."""
        match = _FORM.fullmatch(text)
        return None if match is None else cls(UUID(match[1]), text)

    @property
    def digest(self) -> bytes:
        """What it is looked up by."""
        return hashlib.sha256(self.text.encode("ascii")).digest()
