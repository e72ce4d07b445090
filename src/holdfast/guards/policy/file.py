"""A policy in a file beside the code, watched: a new version takes force when it is in order, and not before."""

from __future__ import annotations

from pathlib import Path

from holdfast.guards.policy.errors import Fault, PolicyError
from holdfast.guards.policy.load import load
from holdfast.guards.policy.policy import Policy
from holdfast.guards.policy.vocabulary import Vocabulary


class PolicyFile:
    """A policy file, and the last version of it that was in order.

    Args:
        path: the file.
        vocabulary: the tools it may speak of.

    Raises:
        PolicyError: the file cannot be read, or is not in order. There is no older version to go on with.
    """

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        self._path = path
        self._vocabulary = vocabulary
        self._seen = _read(path)
        self._policy = _load(self._seen, path, vocabulary)
        self.error: PolicyError | None = None
        """What is wrong with the version that is in the file; None if that is in force."""

    @property
    def policy(self) -> Policy:
        """The version in force."""
        return self._policy

    def check(self) -> Policy:
        """The version in force, after a look at the file. What is wrong with a newer one is told by `error`.

        The bytes are compared, not times: a file that is put back is the old version again. `error` stays the same
        object as long as the fault does, so that it can be told once.
        """
        try:
            found = _read(self._path)
        except PolicyError as error:
            self._seen = b""
            if self.error is None or str(self.error) != str(error):
                self.error = error
            return self._policy
        if found != self._seen:
            self._seen = found
            try:
                self._policy, self.error = _load(found, self._path, self._vocabulary), None
            except PolicyError as error:
                self.error = error
        return self._policy


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fault = Fault(0, 0, f"It cannot be read: {error.strerror}.", "`holdfast policy init` writes one.")
        raise PolicyError(str(path), [fault]) from None


def _load(found: bytes, path: Path, vocabulary: Vocabulary) -> Policy:
    try:
        text = found.decode()
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise PolicyError(str(path), [Fault(line, 1, "It is not UTF-8.", "Save it as UTF-8.")]) from None
    return load(text, vocabulary, str(path))
