"""`wardkeep user`: who may sign in to the console."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State
from wardkeep.engine.accounts import Accounts
from wardkeep.engine.platform import Platform

if TYPE_CHECKING:
    from wardkeep.engine.accounts.users import User

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


@contextmanager
def opened(state: State) -> Iterator[tuple[Platform, Accounts]]:
    from wardkeep.engine.accounts.opening import accounts_of
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    with open_platform(find_folder(state)) as platform:
        yield platform, accounts_of(platform)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _tell(accounts: Accounts, name: str, line: str, json: bool) -> None:
    """What was done, or the user as `list --json` shows them."""
    from wardkeep.cli.terminal import print_json

    if json:
        print_json(_as_json(next(user for user in accounts.users.all() if user.name == name)))
    else:
        say(line)


def _as_json(user: User) -> dict[str, Any]:
    return {**asdict(user), "role": user.role.value}


@app.command("list")
def list_users(state: State = None, json: Json = False) -> None:
    """Everybody who may sign in, and how.

    Example: wardkeep user list. Exit status: 0.
    """
    from wardkeep.cli.terminal import ago, console, print_json, table

    with opened(state) as (_, accounts):
        people = accounts.users.all()
    if json:
        print_json([_as_json(user) for user in people])
        return
    made = table("name", "role", "ways to sign in", "last sign-in")
    for user in people:
        ways = [f"{user.passkeys} passkey{'s' * (user.passkeys != 1)}"] if user.passkeys else []
        ways += ["app and password" if user.has_password else "app"] if user.has_totp else []
        shown = "disabled" if user.disabled else ", ".join(ways) or "none yet: wardkeep user link"
        made.add_row(user.name, user.role, shown, ago(user.last_sign_in))
    console().print(made)


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="operator, developer or auditor.")] = "auditor",
    display: Annotated[str, typer.Option(help="The person's full name.")] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Add a person and print their one-time sign-in link.

    Example: wardkeep user add alice --role auditor. Exit status: 0; 2 when the name is taken or cannot be one.
    """
    from wardkeep.engine.platform import operator

    with opened(state) as (platform, accounts):
        accounts.users.add(name, role, by=operator(), display=display)
        _show_link(platform, accounts, name, json)


@app.command()
def link(name: Name, state: State = None, json: Json = False) -> None:
    """Print a new one-time sign-in link (single use, 15 minutes). Earlier unused links stop working.

    Example: wardkeep user link alice. Exit status: 0; 2 when there is no such user.
    """
    with opened(state) as (platform, accounts):
        _show_link(platform, accounts, name, json)


@app.command("role")
def set_role(
    name: Name, role: Annotated[str, typer.Argument()], state: State = None, json: Json = False
) -> None:
    """Change what a person may do; their sessions end.

    Example: wardkeep user role alice developer. Exit status: 0; 2 when it would leave no operator.
    """
    from wardkeep.engine.platform import operator

    with opened(state) as (_, accounts):
        user = accounts.users.set_role(name, role, by=operator())
        _tell(accounts, name, f"{user.name} is {user.role} now.", json)


@app.command()
def disable(name: Name, state: State = None, json: Json = False) -> None:
    """End every session, link and token of a person and refuse new ones. Their history stays.

    Example: wardkeep user disable alice. Exit status: 0; 2 when it would leave no operator.
    """
    from wardkeep.engine.platform import operator

    with opened(state) as (_, accounts):
        accounts.users.disable(name, by=operator())
        _tell(accounts, name, f"{name} can no longer sign in.", json)


@app.command()
def enable(name: Name, state: State = None, json: Json = False) -> None:
    """Let a disabled person sign in again.

    Example: wardkeep user enable alice. Exit status: 0.
    """
    from wardkeep.engine.platform import operator

    with opened(state) as (_, accounts):
        accounts.users.enable(name, by=operator())
        _tell(accounts, name, f"{name} can sign in again.", json)


@app.command()
def reset(name: Name, state: State = None, json: Json = False) -> None:
    """Take away every way to sign in (a lost phone) and print a new one-time link.

    Example: wardkeep user reset alice. Exit status: 0; 2 when there is no such user.
    """
    from wardkeep.engine.platform import operator

    with opened(state) as (platform, accounts):
        accounts.users.reset(name, by=operator())
        _show_link(platform, accounts, name, json)


def _show_link(platform: Platform, accounts: Accounts, name: str, json: bool) -> None:
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.accounts.opening import link_for
    from wardkeep.engine.platform import operator

    made = link_for(platform, accounts, name, by=operator())
    if json:
        print_json({"user": name, "link": made, "minutes": 15})
        return
    say(f"One-time sign-in link for {name}, good for 15 minutes:\n{made}")
