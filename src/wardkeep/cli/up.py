"""`wardkeep up`: bring the platform up here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from rich.console import Console


def command(
    state: State = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS:PORT", help="Where the console listens.")
    ] = "",
    once: Annotated[
        bool, typer.Option("--once", help="Look, print and end: no console, no schedules.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring the platform up here: state, schedules, console. First time: this machine as its only host, read-only.

    Example: wardkeep up --listen 127.0.0.1:8420. Ends by Ctrl-C. Exit status with --once: 0 all pass, 1 failing, 3 unknown.
    With --json the matrix is one line, and where the console is (`url`, `link`) another once it listens.
    """
    from wardkeep.cli.matrix import as_json, show_matrix
    from wardkeep.cli.pressing import show_pressing
    from wardkeep.cli.terminal import console, exit_status, print_json_line, progress
    from wardkeep.engine.cycle import check
    from wardkeep.engine.folder import find_folder, hold
    from wardkeep.engine.host_views import page_hosts
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.setting_values import read_listen
    from wardkeep.engine.start import take_this_machine
    from wardkeep.engine.views import matrix, pressing

    asked = read_listen(listen) if listen else None
    out = console()
    folder = find_folder(state)
    with open_platform(folder, create=True) as platform, hold(folder):
        if not once:
            from wardkeep.console.serving import check_address

            address, port = asked or read_listen(platform.config.settings.console_listen)
            check_address(platform, address, port)
        new = take_this_machine(platform, operator())
        if new and not json:
            out.print(
                f"New platform in {folder}. This machine is its only host, as `{new}`. Nothing on it is changed."
            )
        if new or once:
            with progress("looking") as step:
                check(platform, operator(), progress=step)
        rows = matrix(platform)
        hosts = page_hosts(platform, limit=1_000_000).hosts
        unreached = [(one.name, one.problem) for one in hosts if one.problem]
        if json:
            told = {"state": str(folder), "new_host": new, "unreached": dict(unreached)}
            print_json_line({**told, "rows": [as_json(row, platform.config.profile) for row in rows]})
        else:
            show_matrix(out, rows, platform.config.profile.title)
            show_pressing(out, pressing(platform), unreached=unreached)
        if once:
            raise typer.Exit(exit_status(row.status.value for row in rows))
        from wardkeep.console.serving import serve
        from wardkeep.engine.accounts.opening import origin_of
        from wardkeep.engine.durable import Durable
        from wardkeep.engine.logs import start_logging
        from wardkeep.engine.running import Running
        from wardkeep.engine.workers import register_all

        def tell(origin: str, link: str) -> None:
            if json:
                print_json_line({"url": f"{origin}/", "link": link or None})
            else:
                show_link(out, origin, link)

        platform.port = port
        start_logging(platform.config)
        durable = Durable(platform.store, folder, role="server", rejoins=True)
        register_all(platform, durable)
        with durable:
            running = Running(platform, durable)
            running.start()
            try:
                serve(
                    platform,
                    address,
                    port,
                    ready=lambda link: tell(origin_of(platform, port), link),
                    durable=durable,
                )
            finally:
                running.stop()


def show_link(out: Console, origin: str, link: str) -> None:
    """Where the console is. A link is there only while nobody has signed in yet."""
    out.print(f"\nThe console is at {origin}/   (Ctrl-C ends it)")
    if link:
        out.print(f"Sign in once, within 15 minutes: {link}", soft_wrap=True)
    else:
        out.print("Sign in with your passkey or code; a new link: wardkeep user link NAME")
