"""Whom we trust to say who somebody is: one `[[oidc]]` table of holdfast.toml per issuer."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from holdfast.domain.rights import Role

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures that a public key checks. `none` proves nothing, and HS256 and its kin take the key for a shared secret:
with the published key of a provider, anybody could sign."""


T = TypeVar("T")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else cast("object", value)


def _some(values: T) -> T:
    if not values:
        raise ValueError("names none")
    return values


def _printable(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError("is empty, or holds characters that cannot be seen")
    return text


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0 or parts.scheme not in {"https", "http"}:  # a port may be no number
        raise ValueError("is not an address. Write https://host/path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must begin with https://: whoever sits on the way could put their own keys in")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("may hold neither a user nor a fragment: a key set is public")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Text = Annotated[str, AfterValidator(_printable)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed), AfterValidator(_some)]
Algorithms = Annotated[tuple[Algorithm, ...], AfterValidator(_some)]
Roles = Annotated[frozenset[Role], BeforeValidator(_listed)]
Url = Annotated[str, AfterValidator(_safe_url)]


class IssuerSettings(BaseModel):
    """One issuer. A claim's name is its key in the token, or the way to it with dots: `realm_access.roles`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Text = Field(description="what `iss` says, to the letter")
    audience: Texts = Field(description="what `aud` must name at least one of")
    jwks_file: Path | None = Field(None, description="the issuer's public keys, in a file")
    jwks_url: Url | None = Field(None, description="or at an address")
    algorithms: Algorithms = Field(("RS256", "ES256", "EdDSA"), description="the only ones a token may be signed with")
    leeway_s: float = Field(30.0, ge=0, le=300, description="how far the issuer's clock may be off ours")

    tenant: Text | None = Field(None, description="the tenant of everybody this issuer vouches for")
    tenant_claim: Text | None = Field(None, description="or the claim that names it")
    tenants: dict[str, Text] | None = Field(None, description="tenants by the claim's value; none: it is the name")

    name_claim: Text = "name"
    email_claim: Text = "email"
    service_claim: Text | None = Field(None, description="the claim by which a service is told from a person")
    service_value: Text | None = Field(None, description="what it then says; none: that it is there is enough")
    roles_claim: Text | None = Field(None, description="the claim with groups or roles, a text or a list")
    roles: dict[str, Roles] = Field(default_factory=dict[str, frozenset[Role]], description="roles by its values")

    refresh_s: float = Field(600, ge=1, le=86_400, description="how old keys from an address may be")
    cooldown_s: float = Field(30, ge=1, le=3600, description="the least time between two fetches of them")
    outage_s: float = Field(14_400, ge=0, le=604_800, description="how long keys serve that cannot be read anew")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for fault, wrong in (
            ("needs exactly one of 'jwks_file' and 'jwks_url'", (self.jwks_file is None) == (self.jwks_url is None)),
            ("needs exactly one of 'tenant' and 'tenant_claim'", (self.tenant is None) == (self.tenant_claim is None)),
            ("has 'tenants', which needs 'tenant_claim'", self.tenants is not None and self.tenant_claim is None),
            ("has 'service_value', which needs 'service_claim'", bool(self.service_value) and not self.service_claim),
            ("needs 'roles_claim' and 'roles' together, or neither", bool(self.roles) != bool(self.roles_claim)),
        ):
            if wrong:
                raise ValueError(fault)
        return self

    def located(self, base: Path) -> Self:
        """These settings with a relative file counted from `base`."""
        return self.model_copy(update={"jwks_file": base / self.jwks_file}) if self.jwks_file else self

    def __str__(self) -> str:
        """The line of `holdfast config show`. Nothing here is secret."""
        tenant = self.tenant or f"by {self.tenant_claim}"
        return f"{self.issuer} for {', '.join(self.audience)}; keys {self.jwks_url or self.jwks_file}; tenant {tenant}"
