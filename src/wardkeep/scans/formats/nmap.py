"""nmap's XML (`-oX`): hosts, ports and what its scripts said. An open port is an observation, a script's CVE a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Report, Result, State, clean, severity_of_score
from wardkeep.scans.opening import Node


def matches(root: Any) -> bool:
    return isinstance(root, Node) and root.name == "nmaprun"


def read(root: Node, report: Report) -> None:
    report.version, report.at = root.get("version"), clean(root.get("startstr"))
    report.target = clean(root.get("args"))
    for node in root.children:
        if node.name == "host":
            _host(node, report)
        elif node.name in ("prescript", "postscript"):
            for script in node.all("script"):
                report.one(script, script.where, lambda s, p: _script(s, p, "", ""))
    for node in root.walk("finished"):
        if node.get("exit") not in ("", "success"):
            told = clean(node.get("errormsg")) or "the scan did not end well"
            report.one(node, node.where, lambda _, p, t=told: [Result("scan", t, State.UNKNOWN, p)])  # type: ignore[misc]
    if not any(node.name == "runstats" for node in root.children):
        report.notes.append("the file has no end of run: the scan was stopped or the file was cut")
        report.refuse(root.where, "the scan has no end")


def _host(host: Node, report: Report) -> None:
    names = [clean(one.get("name")) for one in host.walk("hostname")]
    addresses = [clean(one.get("addr")) for one in host.all("address") if one.get("addrtype") != "mac"]
    target = (addresses or ["?"])[0] + (f" ({names[0]})" if names and names[0] else "")
    up = host.find("status")
    state = up.get("state") if up else "not told"
    report.one(
        host,
        host.where,
        lambda _, p: [Result("host", f"is {state}", State.INFO, p, said=state, target=target)],
    )
    for node in host.children:
        if node.name == "ports":
            for port in node.all("port"):
                report.one(port, port.where, lambda n, p: _port(n, p, target))
            for rest in node.all("extraports"):
                told = f"{rest.get('count')} more ports are {rest.get('state')}"
                report.one(rest, rest.where, lambda n, p, t=told: [Result("extraports", t, State.INFO, p, said=n.get("state"), target=target)])  # type: ignore[misc]  # fmt: skip
        elif node.name == "hostscript":
            for script in node.all("script"):
                report.one(script, script.where, lambda s, p: _script(s, p, target, ""))
        elif node.name == "os":
            for match in node.all("osmatch"):
                told = f"{match.get('name')} ({match.get('accuracy')} %)"
                report.one(match, match.where, lambda _, p, t=told: [Result("os", clean(t), State.INFO, p, target=target)])  # type: ignore[misc]  # fmt: skip


def _port(port: Node, pointer: str, target: str) -> Iterator[Result]:
    where = f"{port.get('portid')}/{port.get('protocol')}"
    held, service = port.find("state"), port.find("service")
    state = held.get("state") if held else "not told"
    about = (
        " ".join(service.get(k) for k in ("name", "product", "version", "extrainfo")).split()
        if service
        else []
    )
    yield Result(
        f"port:{where}", f"{where} is {state}", State.INFO, pointer, said=state, target=target, location=where,
        component=clean(" ".join(about)), installed=clean(service.get("version")) if service else "",
        references=tuple(clean(cpe.text) for cpe in port.walk("cpe"))[:20],
    )  # fmt: skip
    for script in port.all("script"):
        yield from _script(script, script.where, target, where)


def _script(script: Node, pointer: str, target: str, location: str) -> Iterator[Result]:
    """The script's flaws where it names them (vulners, the vuln library), else its output as an observation."""
    name = clean(script.get("id"))
    found = False
    for table in script.walk("table"):
        held = {one.get("key"): one.text.strip() for one in table.all("elem") if one.get("key")}
        if "cvss" in held and "id" in held:
            found = True
            severity = severity_of_score(held["cvss"])
            exploit = ", an exploit is public" if held.get("is_exploit") == "true" else ""
            title = f"{clean(held['id'])} by the version shown{exploit}"
            yield Result(
                clean(held["id"]), title, State.FAIL, table.where, severity, "vulners" if severity else "",
                f"CVSS {clean(held['cvss'])}", target, location,
            )  # fmt: skip
        elif "state" in held and "VULNERABLE" in held["state"].upper():
            found = True
            safe = held["state"].upper().startswith("NOT")
            ids = tuple(clean(one.text) for one in table.walk("elem") if not one.get("key"))
            title = clean(held.get("title")) or name
            state = State.PASS if safe else State.FAIL
            yield Result(
                name, title, state, table.where, said=clean(held["state"]), target=target, location=location,
                references=ids[:20],
            )  # fmt: skip
    if not found:
        yield Result(
            name, clean(script.get("output")) or name, State.INFO, pointer, target=target, location=location
        )
