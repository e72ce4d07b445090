"""`holdfast init`: writes the project that lies in `project/`."""

from __future__ import annotations

from pathlib import Path

from holdfast.cli.screen import out, print_json
from holdfast.domain.errors import UserError

_TEMPLATES = Path(__file__).with_name("project")
_SUFFIX = ".txt"
_HIDDEN = {"gitignore": ".gitignore"}


def init_project(directory: Path, *, as_json: bool) -> None:
    """Write the project into `directory`, which is made where it is absent.

    Raises:
        UserError: it holds something already, or cannot be written.
    """
    written = _write(directory)
    if as_json:
        print_json({"directory": str(directory.absolute()), "files": written})
        return
    screen = out()
    screen.print(f"Wrote {', '.join(written)} to {directory}. It runs offline; a key makes it ask a real model. Next:")
    screen.print(
        f'\n  cd {directory}\n  holdfast run app.py:app assistant "What is the weather in Lisbon?"\n'
        "  holdfast runs show last\n  holdfast dev\n",
        markup=False,
    )


def _write(directory: Path) -> list[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise UserError(f"{directory} is not empty, and nothing is overwritten. Name a new directory.")
        return sorted(_copy(template, directory) for template in _TEMPLATES.glob(f"*{_SUFFIX}"))
    except OSError as error:
        raise UserError(f"{directory} cannot be written: {error.strerror}.") from error


def _copy(template: Path, directory: Path) -> str:
    name = template.name.removesuffix(_SUFFIX)
    name = _HIDDEN.get(name, name)
    (directory / name).write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    return name
