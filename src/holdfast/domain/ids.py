"""Identities, and the digests by which content is named.

Ids are UUIDv7 made by the caller and passed in. Their clock skews between machines, so nothing
orders facts by them: the order of facts is the sequence number in a run's journal.
"""

from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)

Ref = NewType("Ref", str)
"""Names one piece of content of a run: the hex keyed digest (HMAC-SHA-256) of its plain bytes."""

DEFAULT_TENANT = TenantId(UUID("00000000-0000-7000-8000-000000000001"))
"""The tenant of an installation that has not created others."""

PLATFORM_TENANT = TenantId(UUID("00000000-0000-7000-8000-000000000000"))
"""The tenant of those who manage tenants. It holds no runs."""

PLATFORM_NAME = "platform"

LOCAL_PRINCIPAL = UUID("00000000-0000-7000-8000-000000000002")
"""Whoever works on the installation's own machine: an administrator of the default tenant, without a credential."""
