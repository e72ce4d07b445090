"""The wrapping key: the installation's one secret, under which every subject's key is stored.

It comes from a file or the environment and never touches the database. Whoever loses it loses all
content; whoever has it and a backup can read all content that was not erased.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64encode, urlsafe_b64decode
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdfast.domain.errors import KeyUnavailable

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

KEY_BYTES = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_MAKE_ONE = "Make one with `openssl rand -base64 32` and keep it safe: without it no content can be read."


class WrappingKey:
    """32 bytes that wrap subject keys. `id` names the key without revealing it."""

    __slots__ = ("_cipher", "_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise KeyUnavailable(f"The wrapping key has {len(secret)} bytes instead of {KEY_BYTES}. {_MAKE_ONE}")
        self.id = sha256(b"holdfast.wrapping-key.1\n" + secret).hexdigest()[:16]
        self._secret = secret
        self._cipher = AESGCM(secret)

    @classmethod
    def generate(cls) -> WrappingKey:
        """A new random key."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def from_text(cls, text: str, *, source: str) -> WrappingKey:
        """The key written as base64 or hex. `source` says in errors where it came from.

        Raises:
            KeyUnavailable: it is neither, or not 32 bytes long.
        """
        stripped = text.strip()
        try:
            if len(stripped) == 2 * KEY_BYTES:
                return cls(bytes.fromhex(stripped))
            return cls(urlsafe_b64decode(stripped.replace("+", "-").replace("/", "_") + "=" * (-len(stripped) % 4)))
        except (ValueError, binascii.Error, KeyUnavailable):
            raise KeyUnavailable(
                f"The wrapping key in {source} is not {KEY_BYTES} bytes of base64 or hex. {_MAKE_ONE}"
            ) from None

    @classmethod
    def from_file(cls, path: Path) -> WrappingKey:
        """The key in a file of text.

        Raises:
            KeyUnavailable: the file is missing, unreadable or malformed.
        """
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise KeyUnavailable(
                f"The wrapping key file {path} cannot be read: {error.strerror}. Point to the file with "
                f"the key that this installation was started with; a new installation needs a new one. {_MAKE_ONE}"
            ) from error
        return cls.from_text(text, source=str(path))

    def save(self, path: Path) -> None:
        """Write the key to a new file that only its owner can read. One that cannot be written whole is not left.

        Raises:
            FileExistsError: there is a file already; a key in use is never overwritten.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(b64encode(self._secret) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def derived(self, purpose: bytes) -> bytes:
        """A key of the installation's for this purpose alone: it tells nothing of this one or of another purpose's."""
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(self._secret)

    def wrap(self, tenant: UUID, subject: str, secret: bytes) -> bytes:
        """Encrypt a subject's key for storage, bound to its tenant and subject."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, secret, _binding(tenant, subject))

    def unwrap(self, tenant: UUID, subject: str, wrapped: bytes, kek: str) -> bytes:
        """The subject's key that `wrap` encrypted under the key named `kek`.

        Raises:
            KeyUnavailable: it was wrapped under another key, or the row was changed.
        """
        if kek != self.id:
            raise KeyUnavailable(
                f"A subject's key was wrapped under wrapping key {kek}, but this process has {self.id}. "
                f"Start it with key {kek}."
            )
        if wrapped[:1] == _FORMAT:
            nonce, sealed = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
            with suppress(InvalidTag, ValueError):
                return self._cipher.decrypt(nonce, sealed, _binding(tenant, subject))
        raise KeyUnavailable(
            f"A subject's key in tenant {tenant} does not open under wrapping key {kek}, though it names it: "
            "its row was changed. Restore `subject_keys` from a backup."
        )


def _binding(tenant: UUID, subject: str) -> bytes:
    return b"holdfast.subject-key.1\n" + tenant.bytes + subject.encode("utf-8", "surrogatepass")
