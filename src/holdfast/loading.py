"""Finding the user's `App` by name: `module:attribute`, or `path/to/file.py:attribute`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.domain.errors import UserError
from holdfast.worker.place import innermost_user_place

if TYPE_CHECKING:
    from types import ModuleType

    from holdfast.app import App

_DEFAULT_ATTRIBUTE = "app"


def load_app(reference: str) -> App:
    """The app that `reference` names; `:app` may be left out.

    The working directory, or the file's own, is put first on `sys.path`, so that neighbours can be imported.

    Raises:
        UserError: the module is absent or fails to import (the message names file, line and cause), the
            attribute is absent, or it is not an `App`.
    """
    target, _, attribute = reference.partition(":")
    if not target:
        raise UserError(f"'{reference}' names no app. Write `module:attribute` or `path/to/file.py:attribute`.")
    module = _from_file(Path(target)) if _is_path(target) else _from_name(target)
    return _app_of(module, attribute or _DEFAULT_ATTRIBUTE, target)


def _is_path(target: str) -> bool:
    return target.endswith(".py") or "/" in target


def _from_name(name: str) -> ModuleType:
    _put_first(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            hint = f" Did you mean {name}.py:{_DEFAULT_ATTRIBUTE}?" if Path(f"{name}.py").is_file() else ""
            raise UserError(
                f"There is no module '{error.name}' in {Path.cwd()} or among the installed packages.{hint}"
            ) from error
        raise _import_failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from error


def _from_file(path: Path) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    root, name = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, name = root.parent, f"{root.name}.{name}"
    _put_first(root)
    try:
        if _finds(name, path):
            return importlib.import_module(name)
        return _import_file(f"holdfast_app_{path.stem}", path)
    except (Exception, SystemExit) as error:
        raise _import_failed(str(path), error) from error


def _finds(name: str, path: Path) -> bool:
    """Whether importing `name` gives this very file, and not another module that has the name already."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path.resolve()


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _put_first(directory: Path) -> None:
    if sys.path[:1] != [str(directory)]:
        sys.path.insert(0, str(directory))


def _import_failed(what: str, error: BaseException) -> UserError:
    if isinstance(error, SyntaxError) and error.filename:
        return UserError(f"{error.filename}:{error.lineno}: importing {what} failed: SyntaxError: {error.msg}")
    place = innermost_user_place(error.__traceback__)
    where = f"{place}: " if place else ""
    if isinstance(error, UserError):
        return UserError(f"{where}{error}")
    if isinstance(error, SystemExit):
        return UserError(
            f'{where}importing {what} ended the process. Put what starts something under `if __name__ == "__main__":`.'
        )
    return UserError(f"{where}importing {what} failed: {type(error).__name__}: {error}")


def _app_of(module: ModuleType, attribute: str, target: str) -> App:
    from holdfast.app import App

    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, App):
        return found
    apps = sorted(name for name, value in vars(module).items() if isinstance(value, App))
    known = f"It has {', '.join(f'{target}:{name}' for name in apps)}." if apps else "It has no holdfast.App at all."
    if found is None:
        raise UserError(f"{module.__file__} has no attribute '{attribute}'. {known}")
    raise UserError(
        f"'{attribute}' in {module.__file__} is of type {type(found).__name__}, not a holdfast.App. {known} An "
        "agent becomes a task of an app by `app.task(name, agent=...)`."
    )
