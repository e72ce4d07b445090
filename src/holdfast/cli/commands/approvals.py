"""`approvals ls | show | decide`: what waits for people."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json
from holdfast.domain.rights import Role

_approvals = typer.Typer(help="See and decide what waits for a person.", no_args_is_help=True)
_Id = Annotated[UUID, typer.Argument(metavar="ID", help="As `holdfast approvals ls` shows it.")]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.add_typer(_approvals, name="approvals")


@_approvals.command()
def ls(
    all_: Annotated[bool, typer.Option("--all", help="Those decided as well.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that you may decide and have not yet.")] = False,
    run: Annotated[str | None, typer.Option("--run", help="Only those of this run.")] = None,
    ask: Annotated[str | None, typer.Option("--ask", help="Only those that ask this, as 'two admins'.")] = None,
    role: Annotated[Role | None, typer.Option("--role", help="Only those that ask somebody of this role.")] = None,
    tool: Annotated[str | None, typer.Option("--tool", help="Only those about this tool.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List tool calls to approve, questions, effects in doubt and runs in trouble, oldest first."""
    from holdfast.cli.approvals.listing import list_approvals as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(
        settings,
        everything=all_,
        mine=mine,
        run=run,
        ask=ask,
        role=role,
        tool=tool,
        limit=limit,
        cursor=after,
        as_json=json,
    )


@_approvals.command()
def show(id: _Id, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:  # noqa: A002
    """Show exactly what a decision would be about."""
    from holdfast.cli.approvals.listing import show_approval as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), id, as_json=json)


@_approvals.command()
def decide(
    id: _Id,  # noqa: A002
    approve: Annotated[bool, typer.Option("--approve", help="The tool may be called.")] = False,
    args: Annotated[
        str | None, typer.Option("--args", help="With --approve: JSON arguments to use instead of those shown.")
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="The tool may not be called; the model is told.")] = False,
    answer: Annotated[
        str | None, typer.Option("--answer", metavar="TEXT", help="A question: this is the answer.")
    ] = None,
    answer_json: Annotated[
        str | None, typer.Option("--answer-json", metavar="JSON", help="A question: this is the result.")
    ] = None,
    decline: Annotated[bool, typer.Option("--decline", help="A question: no answer; the model is told.")] = False,
    done: Annotated[
        str | None, typer.Option("--done", metavar="JSON", help="In doubt: it took place, and this is its result.")
    ] = None,
    not_done: Annotated[bool, typer.Option("--not-done", help="In doubt: it did not take place; do it.")] = False,
    go_on: Annotated[bool, typer.Option("--go-on", help="In trouble: the run goes on.")] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=NUMBER", help="With --go-on: what it is raised to; may be repeated."),
    ] = None,
    finish: Annotated[
        str | None, typer.Option("--finish", metavar="JSON", help="In trouble: the run ends with this output.")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="In doubt or in trouble: end the run as failed.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="With --reject, --decline or --fail.")] = None,
    digest: Annotated[
        str | None, typer.Option("--digest", help="Decide only if this is still the digest of what is asked.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Decide. Give one of --approve, --reject, --answer, --decline, --done, --not-done, --go-on, --finish, --fail."""
    from holdfast.cli.approvals.deciding import Decision
    from holdfast.cli.approvals.deciding import decide as act
    from holdfast.cli.settings import load_settings

    decision = Decision.of(
        approve=approve,
        args=args,
        reject=reject,
        answer=answer,
        answer_json=answer_json,
        decline=decline,
        done=done,
        not_done=not_done,
        go_on=go_on,
        limits=limit or [],
        finish=finish,
        fail=fail,
        reason=reason,
    )
    act(load_settings(data_dir=data_dir, database_url=database_url), id, decision, digest=digest, as_json=json)


@_approvals.command()
def link(
    id: _Id,  # noqa: A002
    for_: Annotated[str, typer.Option("--for", metavar="PRINCIPAL", help="Whose link it is, by name.")],
    ends_in: Annotated[str, typer.Option("--ends-in", metavar="TIME", help="As 30m, 8h or 2d; at most 7d.")] = "24h",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Make a link by which one person can decide a task, once. An administrator has to log in as well."""
    from holdfast.cli.approvals.linking import link as act
    from holdfast.cli.identity.keys import seconds_of
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, id, for_, ends_in_s=seconds_of(ends_in, "--ends-in"), as_json=json)
