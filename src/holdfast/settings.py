"""Configuration: flags > `HOLDFAST_*` > `holdfast.toml` > defaults, each value with where it came from.

`holdfast.toml` is searched from the working directory upwards. Relative paths in it, and the default data
directory, count from the directory it lies in; those in flags and the environment from the working directory.
"""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from holdfast.domain.errors import UserError
from holdfast.guards.prices.table import PriceTable
from holdfast.identity.issuers import IssuerSettings
from holdfast.places import dotted, lines_of, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

PREFIX = "HOLDFAST_"
FILE_NAME = "holdfast.toml"
DEFAULT = "default"

_SECRETS = frozenset({"key"})
_URLS = frozenset({"database_url", "admin_database_url", "listen_url"})
_PATHS = ("data_dir", "key_file")
_ALMOST = 0.8

_LISTS: dict[str, tuple[str, type[BaseModel]]] = {
    "oidc": ("issuers", IssuerSettings),
    "prices": ("prices", PriceTable),
}
"""Settings that are lists of tables: what they hold, and the shape of each."""


def _tables(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, dict):
        raise ValueError(f"is one of a list of tables: write [[{info.field_name}]], with two brackets")  # noqa: TRY004
    return value


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone of this machine: write one as Europe/Berlin, or UTC") from None
    return name


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Issuers = Annotated[tuple[IssuerSettings, ...], BeforeValidator(_tables)]
Prices = Annotated[tuple[PriceTable, ...], BeforeValidator(_tables)]


class Shown(NamedTuple):
    """One line of `holdfast config show`."""

    name: str
    value: str
    """Secrets masked."""
    origin: str
    """The flag, variable, `file:line`, or `default`."""


class Settings(BaseSettings):
    """Every setting. Made by `load`, which finds the file and names the place of a wrong value."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=False
    )

    app: str | None = Field(None, description="the application, `module:attribute` or `path/to/file.py:attribute`")
    database_url: str | None = Field(None, repr=False, description="an outside PostgreSQL; none: the embedded one")
    admin_database_url: str | None = Field(None, repr=False, description="the login that migrates")
    listen_url: str | None = Field(
        None, repr=False, description="the server itself, for LISTEN, where database_url is a pooler's"
    )
    prepared_statements: bool = Field(True, description="false behind a pooler that deals out sessions by transaction")
    data_dir: Path = Field(Path(".holdfast"), description="the embedded database and the local wrapping key")
    key_file: Path | None = Field(None, description="file of the wrapping key")
    key: str | None = Field(None, repr=False, description="the wrapping key itself, base64 or hex")

    tenant: str = Field("default", description="the tenant that commands act in")
    principal: str | None = Field(None, description="who commands act as; none: whoever works on this machine")

    env: Literal["dev", "staging", "prod"] = Field("prod", description="what policies are told of where this is")
    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "UTC", description="where policies' hours and days are counted, as Europe/Berlin"
    )

    slots: int = Field(16, ge=1, le=10_000, description="the most runs a worker executes at once")
    lease_s: float = Field(10.0, ge=1, le=3600, description="how long after its last sign a worker is given up")
    poll_s: Seconds = Field(1.0, description="how often a worker looks for runs when no hint arrives")
    grace_s: float = Field(20.0, ge=0, le=3600, description="how long a drain waits for tools that must not rerun")
    blocked_warn_s: Seconds = Field(1.0, description="how long the event loop may be blocked without a warning")
    tick_s: Seconds = Field(0.9, description="the longest between two looks at timers and dead workers")

    host: str = Field("127.0.0.1", description="where the API listens")
    port: int = Field(8787, ge=0, le=65_535, description="where the API listens")
    public_url: str | None = Field(None, description="where people reach the API, for links; none: as it was asked")
    dev_login: bool = Field(False, description="serve the login of `holdfast dev`, which sets this itself")
    max_body_bytes: int = Field(1 << 20, ge=1, description="the largest request body the API reads")

    newcomer_s: float = Field(
        7 * 86_400, ge=0, description="for how long whom a requester admitted or promoted may not authorise their calls"
    )

    oidc: Issuers = Field((), description="whose tokens are accepted, one table each; docs/identity-oidc.md")
    prices: Prices = Field((), description="what models cost where that is not known or is otherwise; docs/costs.md")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    @classmethod
    def load(cls, flags: Mapping[str, Any] | None = None, *, cwd: Path | None = None) -> Settings:
        """Read the settings.

        Args:
            flags: by field name; None means that the flag was not given.
            cwd: where the search for `holdfast.toml` begins. Default: the working directory.

        Raises:
            UserError: a value is wrong, a key unknown, the file malformed; the message names the place.
        """
        here = (cwd or Path.cwd()).absolute()
        given = {name: value for name, value in (flags or {}).items() if value is not None}
        path = find_file(here)
        values, places = _read_file(path) if path else ({}, {})
        environment = _environment()
        origins = dict.fromkeys(cls.model_fields, DEFAULT)
        origins |= places
        origins |= environment
        origins |= {name: f"--{name.replace('_', '-')}" for name in given}
        # Arguments beat the environment, so the file gives only what the environment does not.
        beneath = {name: value for name, value in values.items() if name not in environment}
        settings = _validated(beneath | given, origins)
        settings._check_urls(origins)  # noqa: SLF001 - its own class
        settings._check_issuers(origins)  # noqa: SLF001 - its own class
        settings._check_prices(origins)  # noqa: SLF001 - its own class
        in_file = {name for name in _PATHS if path and _of_file(path, origins[name])}
        bases = {name: path.parent if path and name in in_file else here for name in _PATHS}
        bases["oidc"] = path.parent if path else here
        return settings._located(origins, bases)  # noqa: SLF001 - its own class

    def _check_urls(self, origins: dict[str, str]) -> None:
        for name in sorted(_URLS):
            url = getattr(self, name)
            if url is not None:
                from holdfast.store.url import is_database_url

                # What the driver says of it may repeat a password.
                if not is_database_url(url):
                    raise UserError(
                        f"{origins[name]}: '{name}' is not a URL of PostgreSQL. Write "
                        "postgresql://user:password@host:5432/database; special characters in a password are "
                        "percent-encoded."
                    )

    def _check_issuers(self, origins: dict[str, str]) -> None:
        first: dict[str, str] = {}
        for number, issuer in enumerate(self.oidc):
            place = nearest(("oidc", number, "issuer"), origins, "?")
            if issuer.issuer in first:
                raise UserError(
                    f"{place}: 'oidc[{number}].issuer' is '{issuer.issuer}', as it is at {first[issuer.issuer]}. "
                    "Keep one table for each issuer."
                )
            first[issuer.issuer] = place

    def _check_prices(self, origins: dict[str, str]) -> None:
        first: dict[tuple[Any, ...], str] = {}
        for number, table in enumerate(self.prices):
            at = nearest(("prices", number), origins, "?")
            if (other := first.setdefault(table.place, at)) != at:
                raise UserError(
                    f"{at}: 'prices[{number}]' is of {table}, as the one at {other} is. Keep one, or say with 'from' "
                    "from which day each holds."
                )

    def _located(self, origins: dict[str, str], bases: dict[str, Path]) -> Settings:
        """These settings with paths made absolute and the origin of each value known."""
        self._origins.update(origins)
        if self.key and self.key_file:
            raise UserError(
                f"Two wrapping keys are named: 'key' by {self.origin('key')} and 'key_file' by "
                f"{self.origin('key_file')}. Keep the one this installation was started with."
            )
        paths = {name: bases[name] / found for name in _PATHS if (found := getattr(self, name))}
        issuers = tuple(issuer.located(bases["oidc"]) for issuer in self.oidc)
        return self.model_copy(update={**paths, "oidc": issuers})

    def origin(self, name: str) -> str:
        """Where this setting's value came from: a flag, a variable, `file:line`, or `default`."""
        return self._origins.get(name, DEFAULT)

    def show(self) -> list[Shown]:
        """Every setting with its value, secrets masked, and where it came from."""
        return [line for name in type(self).model_fields for line in self._lines(name)]

    def _lines(self, name: str) -> list[Shown]:
        if name not in _LISTS or not getattr(self, name):
            return [Shown(name, _shown(name, getattr(self, name)), self.origin(name))]
        return [
            Shown(dotted(path := (name, number)), str(table), nearest(path, self._origins, DEFAULT))
            for number, table in enumerate(getattr(self, name))
        ]


def find_file(start: Path) -> Path | None:
    """The `holdfast.toml` of `start` or of the nearest directory above it that has one."""
    return next((found for at in (start, *start.parents) if (found := at / FILE_NAME).is_file()), None)


def mask_url(url: str) -> str:
    """A database URL or connection string without its password."""
    url = re.sub(r"(?<=://)([^/?#@:]*):[^/?#]*@", r"\1:***@", url)
    return re.sub(r"(?i)((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", url)


def _environment() -> dict[str, str]:
    """The variables that set something: field name to variable name."""
    found: dict[str, str] = {}
    for variable, value in os.environ.items():
        if not variable.upper().startswith(PREFIX) or not value:
            continue
        name = variable[len(PREFIX) :].lower()
        if name in _LISTS:
            what = _LISTS[name][0]
            raise UserError(f"{variable} is not read: {what} are tables. Write them in {FILE_NAME}, as [[{name}]].")
        if name in Settings.model_fields:
            found[name] = variable
        # A variable of somebody else's may begin alike; only what looks like a slip is refused.
        elif almost := get_close_matches(name, Settings.model_fields, 1, _ALMOST):
            raise UserError(f"{variable} is not a setting. Did you mean {PREFIX}{almost[0].upper()}?")
    return found


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's values, and the `file:line` of each, by its dotted path."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    lines = lines_of(text)
    for name in values:
        if name not in Settings.model_fields:
            almost = get_close_matches(name, Settings.model_fields, 1, 0.5)
            hint = f"Did you mean '{almost[0]}'?" if almost else "`holdfast config show` lists all settings."
            raise UserError(f"{path}:{lines.get(name, 1)}: '{name}' is not a setting. {hint}")
    places = {name: f"{path}:{line}" for name, line in lines.items()}
    return values, dict.fromkeys(values, f"{path}:1") | places


def _validated(values: dict[str, Any], origins: dict[str, str]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise UserError("\n".join(_told(fault, origins) for fault in faults)) from None


def _told(fault: ErrorDetails, origins: dict[str, str]) -> str:
    path = fault["loc"]
    return f"{nearest(path, origins, '?')}: '{dotted(path)}' {_cause(fault)}."


def _cause(fault: ErrorDetails) -> str:
    *_, name = path = fault["loc"]
    match fault["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            what, shape = _LISTS[str(path[0])]
            known = [field.alias or own for own, field in shape.model_fields.items()]
            almost = get_close_matches(str(name), known, 1, 0.5)
            return f"is not a setting; did you mean '{almost[0]}'" if almost else f"is not a setting of {what}"
        case _:
            message = fault["msg"].removeprefix("Value error, ").replace("Input should", "should", 1).rstrip(".")
            return message + _found(str(path[0]), fault["input"])


def _found(name: str, value: Any) -> str:
    return "" if name in _SECRETS | _URLS or isinstance(value, dict) else f", found {mask_url(repr(value))}"


def _of_file(path: Path, origin: str) -> bool:
    return origin == DEFAULT or origin.startswith(f"{path}:")


def _shown(name: str, value: Any) -> str:
    if value is None or value == ():
        return "-"
    if name in _SECRETS:
        return "***"
    return mask_url(str(value)) if name in _URLS else str(value)
