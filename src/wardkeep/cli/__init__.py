"""The command line: one file per command; this page is their table of contents.

Every command has `--json`; results go to stdout, progress to stderr. Exit status: 0 all pass,
1 failing findings, 2 wrong use or bad input, 3 something is unknown.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from wardkeep import __version__
from wardkeep.cli.spelling import spell_for_terminal
from wardkeep.core.errors import BadInput, WardkeepError

# name → (module in this folder, one line of help). A module holds either a function `command` or, for a group of
# commands, a Typer object `app`. Only the command in use is imported: `--help` and `evidence verify` stay quick.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "Bring the platform up here: state, schedules, console."),
    "check": ("check", "Observe and assess now."),
    "status": ("status", "The matrix: every row with its verdicts and last drill."),
    "controls": ("status", "The same as `status`."),
    "findings": ("findings", "What fails or is unknown; show one, waive one."),
    "host": ("host", "The hosts: add, list, show, record, remove."),
    "allowlist": ("allowlist", "Who may reach what from where: list, add, review, audit."),
    "plan": ("plan", "What would bring the hosts to the policy; nothing is done."),
    "apply": ("apply", "Carry out a plan, or take it back."),
    "drill": ("drill", "Prove controls by exercising them."),
    "scan": ("scan", "Scans: other tools' results, the host profile, ports from outside."),
    "vulns": (
        "vulns",
        "Published flaws: scan a host, an image or a file, why, sbom, update, feeds, review, VEX, digest; offline.",
    ),
    "evidence": ("evidence", "Evidence for an auditor: export a pack, verify one, show an entry."),
    "review": ("review", "Say that a person's review was done."),
    "firewall": (
        "firewall",
        "Firewall rules as exact packet sets, on plain files: audit, ask, diff, matrix.",
    ),
    "state": ("state", "Back everything up, restore it, rebuild the database from the ledger."),
    "settings": ("settings", "Every number and policy in force, and where it comes from."),
    "user": ("user", "Who may sign in to the console: add, link, role, disable, reset."),
    "token": ("token", "API tokens for programs: issue, list, revoke."),
    "doctor": ("doctor", "What is wrong with this installation, and what to do."),
    "lab": ("lab", "Live Debian hosts on this machine, to try things on."),
    "demo": ("demo", "A small clinic on this machine, from red to green: hosts, attack, patches, evidence."),
    "install": ("install", "Run Wardkeep as a hardened service of this machine."),
}

# What typer raises for words it cannot use; the class that all of these share has no public name there.
WrongUse: type[Exception] = typer.BadParameter.__mro__[1]


def build(wanted: str) -> typer.Typer:
    """The program with the command `wanted` loaded, the others as a line of help."""
    program = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog="Exit status: 0 all pass; 1 failing findings; 2 wrong use or bad input; 3 something is unknown.",
    )
    program.callback()(_root)
    for name, (module_name, line) in COMMANDS.items():
        if name != wanted:
            program.command(name, help=line)(_not_loaded)
            continue
        module = importlib.import_module(f"wardkeep.cli.{module_name}")
        if hasattr(module, "app"):
            program.add_typer(module.app, name=name, help=line)
        else:
            program.command(name)(module.command)
    return program


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wardkeep {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Turns ordinary Debian servers into a HIPAA-ready platform, and proves it."""


def _not_loaded() -> None:
    """Stands in the help for a command that this run does not use."""


def _known(name: str) -> str:
    if not name or name in COMMANDS:
        return name
    from wardkeep.core.profiles import did_you_mean

    raise BadInput(f"no command is called `{name}`", todo=did_you_mean(name, COMMANDS))


def _say_wrong_use(error: Any) -> None:
    """One line: which command, what is wrong, and where its help is. A group named without a command shows its help."""
    said = error.format_message()
    if "\n" in said:
        error.show()
        return
    command = error.ctx.command_path if error.ctx else "wardkeep"
    sys.stderr.write(f"{WardkeepError(said, where=command, todo=f'See `{command} --help`.').line()}\n")


def _end_with_the_pipe() -> NoReturn:
    """Whoever read stdout has gone (`wardkeep findings | head`): end quietly as by SIGPIPE, like other tools, without a verdict."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(128 + signal.SIGPIPE)  # where the signal is blocked


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Errors meant for people become one line on stderr and their exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    spell_for_terminal()
    try:
        program = build(_known(next((word for word in words if not word.startswith("-")), "")))
        status = program(args=words, prog_name="wardkeep", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except WardkeepError as e:
        sys.stderr.write(f"wardkeep: {e.line()}\n")
        sys.exit(e.exit_status)
    except WrongUse as e:
        _say_wrong_use(e)
        sys.exit(2)
    except BrokenPipeError:
        _end_with_the_pipe()
    except SystemExit as e:
        # The libraries that print make of a reader who went away an exit status 1, which is a verdict here.
        if isinstance(e.__context__, BrokenPipeError):
            _end_with_the_pipe()
        raise
    except OSError as e:
        if e.filename is not None or e.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            raise
        # What was printed is not whole, and no exit status of a verdict may stand for it.
        sys.stderr.write(
            f"wardkeep: the output cannot be written ({e.strerror}). Make room, then run it again.\n"
        )
        sys.stderr.flush()
        os._exit(2)  # an ordinary end would try the same bytes again
    except typer.Abort:
        sys.stderr.write("wardkeep: stopped at the question, without an answer\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("wardkeep: stopped by the keyboard\n")
        sys.exit(130)
