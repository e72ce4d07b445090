"""Which command runs and what it names, kept while it runs: a tenant is told what an operator looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from holdfast.cli.settings import Invoked, invoked

if TYPE_CHECKING:
    from collections.abc import Generator

    import typer

NAMING = frozenset({"BUDGET", "ID", "LIMIT", "QUOTA", "ROLE", "RUN", "SCOPE", "SESSION", "STEP", "TASK"})
"""Arguments that name something, by how `--help` calls them. Any other may be content, a number, or what people are
called, which no log may keep when they are gone: it is not kept here."""
_CHARS = 200


class ToldCommand(TyperCommand):
    """A command that is kept in `invoked` while it runs."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        invoked.set(Invoked(_verb(ctx), tuple(_named(ctx))))
        return super().invoke(ctx)


def told(app: typer.Typer) -> None:
    """Have all commands of `app` kept while they run."""
    for command in app.registered_commands:
        command.cls = ToldCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            told(group.typer_instance)


def _naming(metavar: str | None) -> bool:
    """Whether an argument that is called so names something: `RUN`, `[ID]`, `SCOPE...`."""
    return (metavar or "").strip("[].") in NAMING


def _verb(ctx: Any) -> str:
    words = list[str]()
    while ctx.parent is not None:  # the root is the program itself
        words.insert(0, ctx.info_name)
        ctx = ctx.parent
    return " ".join(words)


def _named(ctx: Any) -> Generator[str, None, None]:
    for parameter in ctx.command.params:
        if parameter.param_type_name != "argument" or not _naming(parameter.metavar):
            continue
        given = ctx.params.get(parameter.name)
        for one in given if isinstance(given, list | tuple) else [given]:  # pyright: ignore[reportUnknownVariableType]
            if one is not None:
                # What the shell gave may be no text: it is told all the same.
                yield str(one).encode("utf-8", "backslashreplace").decode()[:_CHARS]  # pyright: ignore[reportUnknownArgumentType]
