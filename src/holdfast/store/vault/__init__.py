"""Content, sealed under the key of the person it is about.

Every subject has one random key, kept in `subject_keys` wrapped under the installation's wrapping key.
Content is stored only sealed. Destroying a subject's key erases everything sealed under it, in every
table, replica and backup, at once; journals still verify, since they hold references only.
"""

from holdfast.store.vault.subject import Sealed, SubjectKey
from holdfast.store.vault.vault import Erased, Vault
from holdfast.store.vault.wrapping import WrappingKey

__all__ = ["Erased", "Sealed", "SubjectKey", "Vault", "WrappingKey"]
