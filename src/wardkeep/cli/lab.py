"""`wardkeep lab`: live Debian hosts on this machine, to try things on. They stay until they are removed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.lab import Host, Lab

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The host's name.")]
Net = Annotated[str, typer.Argument(metavar="[NETWORK]", help="Only this network; else every one.")]
Needs = Annotated[
    str, typer.Option(metavar="WORD,…", help="What it must offer; `wardkeep lab kinds` lists the words.")
]


@contextmanager
def kept() -> Iterator[Lab]:
    """The lab of hosts made by hand. It begins with its first host, and ends with its last."""
    from wardkeep.lab import Lab

    with Lab(kept=True) as lab:
        yield lab


@app.command()
def up(
    name: Name,
    needs: Needs = "systemd",
    debian: Annotated[str, typer.Option(metavar="12|13", help="Which Debian.")] = "",
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="namespace, container or vm; else the cheapest.")
    ] = "",
    network: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Wire it into this network; any number.")
    ] = None,
    package: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A Debian package besides; a container only.")
    ] = None,
    json: Json = False,
) -> None:
    """Start a new host and print how to enter it. The first of its kind builds an image (a minute or two).

    Example: wardkeep lab up db-1 --needs luks,sshd --debian 13 --network ward. Exit status: 0; 2 when there is none.
    """
    from wardkeep.cli.terminal import note, print_json

    words = [word for word in needs.replace(",", " ").split() if word]
    with kept() as lab:
        if not json:
            note("starting; the first host of a kind builds its image")
        host = lab.host(
            name, needs=words, debian=debian, kind=kind, networks=network or [], packages=package or []
        )
        told = view(host)
    if json:
        print_json(told)
        return
    typer.echo(f"{name} is up: {told['kind']}, Debian {told['debian']}, {told['address']}")
    if told["ssh"]:
        typer.echo(f"  {told['ssh']}")
    typer.echo(f"  wardkeep lab run {name} 'systemctl is-system-running'")


@app.command("list")
def list_(json: Json = False) -> None:
    """Every host of the lab, where it is and what was done to it.

    Example: wardkeep lab list. Exit status: 0.
    """
    from wardkeep.cli.terminal import console, print_json, table

    with kept() as lab:
        told = [view(host) for host in lab.hosts()]
    if json:
        print_json(told)
        return
    if not told:
        typer.echo("No host yet. Start one: wardkeep lab up NAME")
        return
    made = table("host", "kind", "Debian", "address", "networks", "now")
    for one in told:
        state = [one["power"]] if one["power"] != "on" else []
        state += [f"cut from {name}" for name in one["cut"]] + [f"slow in {name}" for name in one["slow"]]
        wired = ", ".join(
            f"{name} {address}" for name, address in one["networks"].items() if name != "outside"
        )
        made.add_row(one["name"], one["kind"], one["debian"], one["address"], wired, ", ".join(state))
    console().print(made)


@app.command()
def run(
    name: Name,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="A shell script, in quotes.")],
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Give up after this long.")] = 600,
    json: Json = False,
) -> None:
    """Run a command as root on a host, past its network and sshd. stdin is passed on.

    Example: wardkeep lab run db-1 'nft list ruleset'. Exit status: the command's own; 2 when it could not be run.
    """
    from wardkeep.cli.terminal import print_json

    stdin = "" if sys.stdin.isatty() else sys.stdin.read()
    with kept() as lab:
        done = _awake(lab, name).run(command, stdin=stdin, timeout=timeout)
    if json:
        print_json({"exit": done.exit, "stdout": done.stdout, "stderr": done.stderr})
    else:
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
    raise typer.Exit(done.exit)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file here, or NAME:/path on a host.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="NAME:/path on a host, or a file here.")],
    json: Json = False,
) -> None:
    """Copy a file to a host or from one.

    Example: wardkeep lab copy ./site.conf db-1:/etc/site.conf. Exit status: 0; 2 when nothing was copied.
    """
    inward, outward = ":" in target and ":" not in source, ":" in source and ":" not in target
    if inward == outward:
        raise BadInput("one side must be NAME:/path, the other a file here", where=f"{source} {target}")
    name, _, path = (target if inward else source).partition(":")
    here = Path(source if inward else target)
    if inward and not here.is_file():
        raise BadInput("there is no such file", where=source)
    with kept() as lab:
        if inward:
            _awake(lab, name).copy_in(here, path)
        else:
            _awake(lab, name).copy_out(path, here)
    _done(json, {"from": source, "to": target}, f"{source} is copied to {target}.")


@app.command()
def join(
    name: Name, network: Annotated[str, typer.Argument(metavar="NETWORK", help="A name.")], json: Json = False
) -> None:
    """Wire a host into a network, which is made if there is none of that name.

    Example: wardkeep lab join db-1 ward. Exit status: 0; 2 when it has no card left.
    """
    with kept() as lab:
        address = _awake(lab, name).join(network)
    _done(json, {"host": name, "network": network, "address": address}, f"{name} is {address} in {network}.")


@app.command()
def cut(name: Name, network: Net = "", json: Json = False) -> None:
    """Pull a host's cable to a network, or all of them.

    Example: wardkeep lab cut db-1 ward. Exit status: 0; 2 when it is not in that network.
    """
    with kept() as lab:
        lab.find(name).cut(network)
    _done(json, {"host": name, "cut": network or "all"}, f"{name} is cut off from {network or 'everything'}.")


@app.command()
def heal(name: Name, network: Net = "", json: Json = False) -> None:
    """Put the cables back in, and make slow ones quick again.

    Example: wardkeep lab heal db-1. Exit status: 0; 2 when it is not in that network.
    """
    with kept() as lab:
        lab.find(name).heal(network)
    _done(json, {"host": name, "healed": network or "all"}, f"{name} is connected again.")


@app.command()
def slow(
    name: Name,
    network: Net = "",
    delay: Annotated[float, typer.Option(metavar="SECONDS", help="Each way.")] = 0.1,
    loss: Annotated[float, typer.Option(metavar="0..1", help="Packets that are lost.")] = 0,
    rate: Annotated[float, typer.Option(metavar="BYTES", help="Per second; 0 is any.")] = 0,
    json: Json = False,
) -> None:
    """Make a host's cables slow, until `heal`.

    Example: wardkeep lab slow db-1 ward --delay 0.2 --loss 0.05. Exit status: 0; 2 when it is not in that network.
    """
    with kept() as lab:
        lab.find(name).slow(delay, loss=loss, rate=rate, network=network)
    _done(
        json,
        {"host": name, "slow": network or "all", "delay": delay, "loss": loss, "rate": rate},
        f"{name} is slow.",
    )


@app.command()
def pause(name: Name, json: Json = False) -> None:
    """Freeze a host: nothing in it goes on, nobody answers.

    Example: wardkeep lab pause db-1. Exit status: 0; 2 when there is no such host.
    """
    with kept() as lab:
        lab.find(name).pause()
    _done(json, {"host": name, "state": "paused"}, f"{name} is frozen. Go on: wardkeep lab resume {name}")


@app.command()
def resume(name: Name, json: Json = False) -> None:
    """Let a frozen host go on.

    Example: wardkeep lab resume db-1. Exit status: 0; 2 when there is no such host.
    """
    with kept() as lab:
        lab.find(name).resume()
    _done(json, {"host": name, "state": "running"}, f"{name} goes on.")


@app.command()
def kill(name: Name, json: Json = False) -> None:
    """Take the power from a host, without a word to it.

    Example: wardkeep lab kill db-1. Exit status: 0; 2 when there is no such host.
    """
    with kept() as lab:
        lab.find(name).kill()
    _done(json, {"host": name, "state": "off"}, f"{name} is off. Boot it: wardkeep lab start {name}")


@app.command()
def start(name: Name, json: Json = False) -> None:
    """Boot a host that was killed.

    Example: wardkeep lab start db-1. Exit status: 0; 2 when there is no such host.
    """
    with kept() as lab:
        host = lab.find(name)
        host.start()
        host.wait_ready()
    _done(json, {"host": name, "state": "running"}, f"{name} is up.")


@app.command()
def reboot(name: Name, json: Json = False) -> None:
    """Reboot a host in order, and wait until it is ready.

    Example: wardkeep lab reboot db-1. Exit status: 0; 2 when it did not come back.
    """
    with kept() as lab:
        _awake(lab, name).reboot()
    _done(json, {"host": name, "state": "rebooted"}, f"{name} has rebooted.")


@app.command()
def clock(
    name: Name,
    seconds: Annotated[float, typer.Argument(metavar="SECONDS", help="Forward; back after `--`.")],
    json: Json = False,
) -> None:
    """Shift a host's clock. Only a vm has one of its own.

    Example: wardkeep lab clock db-1 3600. Exit status: 0; 2 when the host has this machine's clock.
    """
    with kept() as lab:
        _awake(lab, name).shift_clock(seconds)
    _done(json, {"host": name, "shifted": seconds}, f"{name}'s clock is shifted by {seconds:+g} s.")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The host's name.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Every host and network of the lab.")] = False,
    json: Json = False,
) -> None:
    """End a host and remove all of it; with --all, all that the lab has on this machine but its images.

    Example: wardkeep lab remove db-1. Exit status: 0; 2 when there is no such host.
    """
    if bool(name) == all_:
        raise BadInput("name one host, or say --all")
    with kept() as lab:
        if all_:
            gone = [host.name for host in lab.hosts()]
            lab.close()
        else:
            lab.find(name).remove()
            gone = [name]
            if not lab.hosts():
                lab.close()
    _done(json, {"removed": gone}, f"Removed: {', '.join(gone) or 'nothing was there'}.")


@app.command("kinds")
def kinds_(json: Json = False) -> None:
    """The kinds of host, what each offers, and whether it works on this machine.

    Example: wardkeep lab kinds. Exit status: 0; 3 when a kind does not work here.
    """
    from wardkeep.cli.terminal import console, print_json, table
    from wardkeep.lab import NEEDS, all_kinds

    found = all_kinds()
    if json:
        print_json({
            "kinds": [{"kind": one.name, "works": not one.why_not, "why_not": one.why_not, "offers": sorted(one.offers),
                       "debian": list(one.debian)} for one in found],
            "needs": NEEDS,
        })  # fmt: skip
    else:
        made = table("what it may need", *(one.name for one in found), "")
        for word, says in NEEDS.items():
            made.add_row(word, *("yes" if word in one.offers else "" for one in found), says)
        console().print(made)
        for one in found:
            state = (
                f"does not work here: {one.why_not}"
                if one.why_not
                else f"works here, Debian {' or '.join(one.debian)}"
            )
            typer.echo(f"{one.name}: {state}")
    raise typer.Exit(3 if any(one.why_not for one in found) else 0)


def view(host: Host) -> dict[str, Any]:
    """A host as the command shows it."""
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    has_sshd = host.kind != "namespace" or "sshd" in host.needs
    return {
        "name": host.name, "kind": host.kind, "debian": host.debian, "address": host.address,
        "power": host.power(), "networks": {name: host.address_in(name) for name in host.wired}, "cut": sorted(host.cuts),
        "slow": sorted(host.slowed), "offers": sorted(host.offers), "key": str(host.key),
        "ssh": f"ssh {options} -i {host.key} root@{host.address}" if has_sshd else "",
    }  # fmt: skip


def _awake(lab: Lab, name: str) -> Host:
    """The host of this name. Raises Unavailable when it is off or frozen."""
    host = lab.find(name)
    host.must_be_on()
    return host


def _done(json: bool, told: dict[str, Any], line: str) -> None:
    from wardkeep.cli.terminal import print_json

    if json:
        print_json(told)
    else:
        typer.echo(line)
