"""`wardkeep token`: API tokens for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from wardkeep.cli.options import Json, State
from wardkeep.cli.user import opened, say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="What the token is for: `ci`, `grafana`.")],
    user: Annotated[str, typer.Option(help="Whose rights it has at most.")],
    scope: Annotated[list[str], typer.Option(help="read, check, waive, flaws, admin; may be given often.")],
    days: Annotated[int, typer.Option(help="How many days it is good for (1 to 366).")] = 90,
    state: State = None,
    json: Json = False,
) -> None:
    """Issue a token. It is shown this once; only its digest is kept.

    Example: wardkeep token issue ci --user alice --scope read. Exit status: 0; 2 for a wrong scope or user.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.platform import operator

    with opened(state) as (_, accounts):
        secret, token = accounts.tokens.issue(user, name, scope, days=days, by=operator())
    if json:
        print_json({**asdict(token), "token": secret})
        return
    say(
        f"{secret}\nFor {token.user}, scopes {', '.join(token.scopes)}, until {token.expires:%Y-%m-%d}. Shown this once."
    )


@app.command("list")
def list_tokens(state: State = None, json: Json = False) -> None:
    """Every token, live or not.

    Example: wardkeep token list. Exit status: 0.
    """
    from wardkeep.cli.terminal import ago, console, print_json, table

    with opened(state) as (_, accounts):
        tokens = accounts.tokens.all()
    if json:
        print_json([asdict(token) for token in tokens])
        return
    made = table("token", "for", "user", "scopes", "expires", "last used")
    for token in tokens:
        until = "revoked" if token.revoked else ago(token.expires)
        made.add_row(
            token.prefix, token.name, token.user, " ".join(token.scopes), until, ago(token.last_used)
        )
    console().print(made)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its beginning, as `list` shows it.")],
    state: State = None,
    json: Json = False,
) -> None:
    """Make a token useless at once.

    Example: wardkeep token revoke wk_1a2b3c4d. Exit status: 0; 2 when there is no such live token.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.platform import operator

    with opened(state) as (_, accounts):
        ended = accounts.tokens.revoke(token, by=operator())
    if json:
        print_json(asdict(ended))
    else:
        say(f"{token} is revoked.")
