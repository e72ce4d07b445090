"""`holdfast policy init`."""

from __future__ import annotations

from pathlib import Path

from holdfast.cli.policy.ground import policy_path
from holdfast.cli.screen import out, print_json
from holdfast.domain.errors import UserError
from holdfast.guards.policy import load
from holdfast.guards.policy.starter import default_of, starter
from holdfast.loading import load_app


def init_policy(reference: str, given: Path | None, *, as_json: bool) -> None:
    """Write a policy that declares every tool of the app.

    Raises:
        UserError: the app or its tools are not in order, it has no tools, or the file is there already.
    """
    app = load_app(reference)
    vocabulary = app.vocabulary()
    if not vocabulary.actions:
        raise UserError(f"App '{app.name}' has no tools that a policy could be about.")
    path = policy_path(app, given)
    text = starter(vocabulary, app.name)
    load(text, vocabulary, str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} is there already, and nothing is overwritten. See `holdfast policy check`.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    if as_json:
        tools = {name: default_of(action) for name, action in vocabulary.actions.items()}
        print_json({"file": str(path), "tools": tools})
        return
    count = len(vocabulary.actions)
    out().print(f"Wrote {path}, with {count} {'tool' if count == 1 else 'tools'} in it.", markup=False)
    if app.policy_path is None:
        named = path.name if path.parent == app.home else str(path)
        out().print(f'Name it in the app: App("{app.name}", policy="{named}")', markup=False)
