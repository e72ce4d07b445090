"""Runs plain SQL files on the connection of the migration."""

from pathlib import Path
from typing import Any

from alembic import op

_FOLDER = Path(__file__).parent


def run_file(connection: Any, path: Path) -> None:
    """Run one file of many statements as it stands: no parameters, so a `%` in it means itself."""
    connection.connection.driver_connection.execute(path.read_bytes())


def run_folder(name: str) -> None:
    """Run every file of a folder in `versions/`, in the order of their names."""
    for path in sorted((_FOLDER / "versions" / name).glob("*.sql")):
        run_file(op.get_bind(), path)
