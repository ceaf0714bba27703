"""`wardkeep host`: which hosts there are, how they are reached, and the keys they are pinned to."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput, Refused

if TYPE_CHECKING:
    from wardkeep.engine.platform import Platform
    from wardkeep.fleet.ssh_keys import HostKey, Keyring

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The host's name.")]


def opened(state: State) -> Platform:
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    return open_platform(find_folder(state))


@app.command()
def add(
    name: Name,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="ssh://user@address[:port], local: or recorded:/folder.")
    ],
    jump: Annotated[str, typer.Option(metavar="URL", help="Go through this ssh:// host.")] = "",
    identity: Annotated[
        str, typer.Option(metavar="FILE", help="Private key; else the agent and your keys.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Any number of labels.")
    ] = None,
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(metavar="SHA256:…", help="The host key to accept, known from elsewhere."),
    ] = None,
    accept_key: Annotated[
        bool,
        typer.Option(
            "--accept-key", help="Pin whatever key is shown now, unseen: only on a network you trust."
        ),
    ] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Add a host: show its key fingerprints, pin them, ask it once. Nothing on the host changes.

    Example: wardkeep host add app-1 ssh://ops@10.0.0.7. Exit status: 0; 2 when nothing was added; 3 when it was added
    and cannot be asked in full yet.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.enrolment import enrol
    from wardkeep.engine.platform import operator
    from wardkeep.fleet import Host

    labels = dict(_label(text) for text in label or [])
    path = str(Path(identity).expanduser().absolute()) if identity else ""
    host = Host(name, url, jump=jump, identity=path, labels=labels)

    def agree(where: str, keys: Sequence[HostKey]) -> Sequence[HostKey]:
        return _agree(where, keys, fingerprint or [], accept_key)

    with opened(state) as platform:
        done = enrol(platform, host, agree, operator(), keyring())
    if json:
        print_json({**_plain(done.host), "distribution": done.distribution, "problem": done.problem})
    elif done.problem:
        typer.echo(f"{name} is added, but: {done.problem}")
    else:
        typer.echo(
            f"{name} is added: {done.distribution or 'no os-release there'}. Next: wardkeep check {name}"
        )
    raise typer.Exit(3 if done.problem else 0)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadInput(f"`{text}` is not a label", todo="Write --label key=value")
    return key, value


def _agree(where: str, keys: Sequence[HostKey], known: Sequence[str], unseen: bool) -> Sequence[HostKey]:
    """The keys to pin: those whose fingerprints were given, or all if a person types yes."""
    if known:
        agreed = [key for key in keys if key.fingerprint in known]
        if not agreed:
            shown = " ".join(key.fingerprint for key in keys)
            raise Refused(
                f"no key with the fingerprint you gave; it shows {shown}",
                where=where,
                todo="Nothing was added",
            )
        return agreed
    sys.stderr.write(f"{where} shows these host keys:\n")
    for key in keys:
        sys.stderr.write(f"  {key.kind:20} {key.fingerprint}\n")
    if unseen:
        return keys
    if not sys.stdin.isatty():
        raise BadInput(
            "nobody is here to compare the fingerprints", where=where,
            todo="Give the right one: --fingerprint SHA256:… (on the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)",
        )  # fmt: skip
    sys.stderr.write("On the host, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` must print the same. ")
    sys.stderr.write("Is it so? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise Refused("the host keys were not confirmed", where=where, todo="Nothing was added")
    return keys


def keyring() -> Keyring:
    """Keys whose passphrase a person at this terminal is asked for."""
    from wardkeep.fleet.ssh_keys import Keyring

    ask = (lambda path: getpass.getpass(f"Passphrase of {path}: ")) if sys.stdin.isatty() else None
    return Keyring(ask)


@app.command("list")
def list_(state: State = None, json: Json = False) -> None:
    """Every host, when it was last observed, and what its findings say.

    Example: wardkeep host list. Exit status: 0.
    """
    from wardkeep.cli.pressing import show_unreached
    from wardkeep.cli.terminal import ago, console, print_json, table
    from wardkeep.cli.terminal import state as shape
    from wardkeep.engine.host_views import page_hosts

    with opened(state) as platform:
        found = page_hosts(platform, limit=1_000_000).hosts
    if json:
        print_json([_view(one) for one in found])
        return
    if not found:
        typer.echo("No host yet. Add one: wardkeep host add NAME ssh://user@address")
        return
    made = table("host", ("state", {"no_wrap": True}), "reached by", "observed", "fail", "unknown", "pass")
    for one in found:
        way = one.url + (f" through {one.jump}" if one.jump else "")
        counts = (str(n) for n in (one.fails, one.unknowns, one.passes))
        made.add_row(one.name, shape(one.verdict), way, ago(one.last_observed), *counts)
    out = console()
    out.print(made)
    show_unreached(out, ((one.name, one.problem) for one in found if one.problem), limit=len(found))


@app.command()
def show(name: Name, state: State = None, json: Json = False) -> None:
    """One host: how it is reached, the fingerprints it is pinned to, its last problem.

    Example: wardkeep host show app-1. Exit status: 0; 2 when there is no such host.
    """
    from wardkeep.cli.terminal import ago, console, print_json, table
    from wardkeep.engine.host_views import host_detail
    from wardkeep.engine.hosts import find_host

    with opened(state) as platform:
        host = find_host(platform, name)
        detail = host_detail(platform, name)
    assert detail is not None
    plain = _plain(host)
    if json:
        print_json({**_view(detail.host), **plain})
        return
    made = table("", "")
    for key in ("url", "jump", "identity"):
        if plain[key]:
            made.add_row(key, plain[key])
    for key in ("host_keys", "jump_keys"):
        for pinned in plain[key]:
            made.add_row(
                f"pinned {key.removesuffix('_keys')} key", f"{pinned['kind']} {pinned['fingerprint']}"
            )
    for word, value in sorted(host.labels.items()):
        made.add_row(f"label {word}", value)
    made.add_row("distribution", detail.host.distribution or "not known yet")
    made.add_row("last observed", ago(detail.host.last_observed))
    if detail.host.problem:
        made.add_row("problem", detail.host.problem)
    console().print(made)


@app.command()
def record(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    keep_addresses: Annotated[
        bool, typer.Option("--keep-addresses", help="Leave public IP addresses as they are.")
    ] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Write what the host answers into a folder that `recorded:` replays, without secrets, names and addresses.

    Read it before you give it away: secrets in base64 or in words of your own are not recognised.

    Example: wardkeep host record app-1 ./app-1-recorded. Exit status: 0; 2 when nothing was written.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.enrolment import record_host
    from wardkeep.engine.platform import operator
    from wardkeep.fleet.recorded import read_provenance

    with opened(state) as platform:
        made = record_host(
            platform, name, folder, operator(), outside_addresses=not keep_addresses, keyring=keyring()
        )
    told = read_provenance(made)
    if json:
        print_json({"folder": str(made), "answers": len(told["answers"]), "scrubbed": told["scrubbed"]})
        return
    taken = (
        ", ".join(f"{n} {kind}" for kind, n in told["scrubbed"].items())
        or "nothing that looked like a secret"
    )
    typer.echo(f"{len(told['answers'])} answers in {made}; taken out: {taken}.")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Take a host out of the inventory. What the ledger holds of it stays; nothing on the host changes.

    Example: wardkeep host remove app-1. Exit status: 0; 2 when there is no such host or it was not confirmed.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.hosts import find_host, remove_host
    from wardkeep.engine.platform import operator

    with opened(state) as platform:
        find_host(platform, name)
        if not yes:
            if not sys.stdin.isatty():
                raise BadInput(f"removing {name} needs a yes", todo="Add --yes")
            sys.stderr.write(
                f"Its findings are closed; the ledger keeps its history. Type {name} to remove it: "
            )
            sys.stderr.flush()
            if sys.stdin.readline().strip() != name:
                raise Refused("the name was not typed", where=name, todo="Nothing was removed")
        remove_host(platform, name, operator())
    if json:
        print_json({"removed": name})
    else:
        typer.echo(f"{name} is removed.")


def _plain(host: Any) -> dict[str, Any]:
    from wardkeep.fleet.ssh_keys import fingerprint

    def pins(lines: Sequence[str]) -> list[dict[str, str]]:
        return [{"kind": line.split()[0], "fingerprint": fingerprint(line)} for line in lines]

    return {
        "name": host.name,
        "url": host.url,
        "jump": host.jump,
        "identity": host.identity,
        "host_keys": pins(host.host_keys),
        "jump_keys": pins(host.jump_keys),
        "labels": dict(host.labels),
    }


def _view(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "url": one.url,
        "jump": one.jump,
        "state": one.verdict,
        "distribution": one.distribution,
        "labels": one.labels,
        "added": one.added,
        "last_observed": one.last_observed,
        "problem": one.problem,
        "findings": {"fail": one.fails, "unknown": one.unknowns, "pass": one.passes},
    }
