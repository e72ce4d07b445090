"""`policy init | check | explain | test | diff`: which tool calls may be made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from holdfast.cli.options import Json

_policy = typer.Typer(help="Write, check and try the policy that decides on tool calls.", no_args_is_help=True)

_App: TypeAlias = Annotated[
    str, typer.Argument(metavar="APP", help="`module:attribute` or `path/to/file.py:attribute`.", show_default=False)
]
_File: TypeAlias = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="The policy. Default: the app's, or policy.cedar beside the app."),
]
_Cases: TypeAlias = Annotated[Path | None, typer.Argument(metavar="[CASES]", show_default=False)]
_Texts: TypeAlias = list[str]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.add_typer(_policy, name="policy")


@_policy.command()
def init(app: _App, policy: _File = None, json: Json = False) -> None:
    """Write a policy that declares every tool, at the default of its recovery class and risk. Overwrites nothing."""
    from holdfast.cli.policy.writing import init_policy as act

    act(app, policy, as_json=json)


@_policy.command()
def check(app: _App, policy: _File = None, json: Json = False) -> None:
    """Say whether the policy is in order, and list the tools that no statement names. Ends with 3 if there are any."""
    from holdfast.cli.policy.checking import check_policy as act

    raise typer.Exit(act(app, policy, as_json=json))


@_policy.command()
def explain(
    app: _App,
    tool: Annotated[str, typer.Argument(metavar="TOOL", show_default=False)],
    arg: Annotated[_Texts | None, typer.Option("--arg", metavar="NAME=VALUE", help="An argument.")] = None,
    role: Annotated[_Texts | None, typer.Option("--role", help="A role of the principal. Default: user.")] = None,
    env: Annotated[str | None, typer.Option("--env", help="dev, staging or prod. Default: the app's, or prod.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Default: the first that has the tool.")] = None,
    hour: Annotated[int | None, typer.Option("--hour", help="Default: 12.")] = None,
    weekday: Annotated[int | None, typer.Option("--weekday", help="1 for Monday. Default: 1.")] = None,
    depth: Annotated[int | None, typer.Option("--depth", help="0 for the run's own agent. Default: 0.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Begun so far. Default: 0.")] = None,
    budget_left: Annotated[
        int | None, typer.Option("--budget-left", help="In percent, of what the run may spend. Default: 100.")
    ] = None,
    label: Annotated[
        _Texts | None,
        typer.Option("--label", metavar="NAME=LABEL", help="Where an argument came from. Default: all from the user."),
    ] = None,
    tally: Annotated[
        _Texts | None, typer.Option("--tally", metavar="NAME=AMOUNT", help="What was reached before. Default: 0.")
    ] = None,
    policy: _File = None,
    json: Json = False,
) -> None:
    """Say what the policy makes of a call, and which lines decide."""
    from holdfast.cli.policy.explaining import Call
    from holdfast.cli.policy.explaining import explain_policy as act

    usual = {
        "env": env,
        "task": task,
        "hour": hour,
        "weekday": weekday,
        "depth": depth,
        "steps": steps,
        "budget_left": budget_left,
    }
    call = Call(tool=tool, args=arg or (), roles=role or (), labels=label or (), tallies=tally or (), usual=usual)
    act(app, policy, call, as_json=json)


@_policy.command("test")
def try_(app: _App, cases: _Cases = None, policy: _File = None, json: Json = False) -> None:
    """Try the cases in a file: policy.cases.yaml beside the policy, or CASES. Ends with 1 if any is not as expected."""
    from holdfast.cli.policy.trying import try_policy as act

    raise typer.Exit(act(app, policy, cases, as_json=json))


@_policy.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", show_default=False)],
    cases: _Cases = None,
    app: Annotated[
        str | None, typer.Option("--app", metavar="APP", help="Whose tools. Default: the setting `app`.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what changes between two versions: over the cases in a file, else at the limits that either names."""
    from holdfast.cli.policy.trying import diff_policies as act
    from holdfast.cli.settings import app_of, load_settings

    act(app or app_of(load_settings()), old, new, cases, as_json=json)
