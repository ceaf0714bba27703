"""sslyze's XML of version 2 and before. The verdicts and severities are Wardkeep's, as for its JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.formats.sslyze import OURS, WEAK
from wardkeep.scans.model import Report, Result, State, clean
from wardkeep.scans.opening import Node

VERSIONS = {
    "sslv2": "high",
    "sslv3": "high",
    "tlsv1": "medium",
    "tlsv1_1": "medium",
    "tlsv1_2": "",
    "tlsv1_3": "",
}
# Element, attribute → its value when safe, the severity when not.
FLAGS = {
    ("openSslHeartbleed", "isVulnerable"): ("False", "critical"),
    ("openSslCcsInjection", "isVulnerable"): ("False", "high"),
    ("compressionMethod", "isSupported"): ("False", "medium"),
    ("tlsFallbackScsv", "isSupported"): ("True", "low"),
    ("sessionRenegotiation", "isSecure"): ("True", "medium"),
    ("sessionRenegotiation", "canBeClientInitiated"): ("False", "medium"),
    ("hostnameValidation", "certificateMatchesServerHostname"): ("True", "high"),
    ("robotAttack", "resultEnum"): ("NOT_VULNERABLE", "high"),
    ("receivedCertificateChain", "isChainOrderValid"): ("True", "low"),
}


def matches(root: Any) -> bool:
    return isinstance(root, Node) and root.name == "document" and "SSLyzeVersion" in root.attributes


def read(root: Node, report: Report) -> None:
    report.version = clean(root.get("SSLyzeVersion"))
    for target in root.walk("target"):
        name = clean(f"{target.get('host')}:{target.get('port')} ({target.get('ip')})")
        report.target = report.target or name
        for command in target.children:
            report.one(command, command.where, lambda c, p, n=name: _command(c, p, n))  # type: ignore[misc]
    for bad in root.walk("invalidTarget"):
        told = clean(bad.get("error")) or "could not be reached"
        report.one(bad, bad.where, lambda n, p, t=told: [Result("connectivity", t, State.UNKNOWN, p, target=clean(n.text))])  # type: ignore[misc]  # fmt: skip


def _command(command: Node, pointer: str, target: str) -> Iterator[Result]:
    if problem := clean(command.get("exception")):
        yield Result(command.name, problem, State.UNKNOWN, pointer, target=target)
        return
    found = False
    if command.name in VERSIONS:
        yield _suites(command, pointer, target)
        return
    for (element, attribute), (safe, severity) in FLAGS.items():
        for node in command.walk(element):
            if attribute in node.attributes:
                found = True
                yield _flag(node, attribute, safe, severity, target)
    for node in command.walk("pathValidation"):
        found = True
        told = clean(node.get("validationResult"))
        state = State.PASS if told == "ok" else State.UNKNOWN if node.get("error") else State.FAIL
        store = clean(node.get("usingTrustStore"))
        severity = "high" if state is State.FAIL else ""
        yield Result(
            "certinfo.trust", f"{told or node.get('error')} by the trust store {store}", state, node.where, severity,
            OURS if severity else "", told, target,
        )  # fmt: skip
    if not found:
        yield Result(command.name, clean(command.get("title")) or "observed", State.INFO, pointer, target=target)  # fmt: skip


def _flag(node: Node, attribute: str, safe: str, severity: str, target: str) -> Result:
    value = node.get(attribute)
    is_safe = value.startswith(safe)
    return Result(
        f"{node.name}.{attribute}", f"{attribute}: {clean(value)}", State.PASS if is_safe else State.FAIL, node.where,
        "" if is_safe else severity, "" if is_safe else OURS, clean(value), target,
    )  # fmt: skip


def _suites(command: Node, pointer: str, target: str) -> Result:
    held = command.find("acceptedCipherSuites")
    accepted = [clean(suite.get("name")) for suite in held.children] if held else []
    bad = accepted if VERSIONS[command.name] else [suite for suite in accepted if WEAK.search(suite)]
    told = f"{len(accepted)} suites accepted" + ("" if VERSIONS[command.name] else f", {len(bad)} of them weak")  # fmt: skip
    severity = (VERSIONS[command.name] or "medium") if bad else ""
    return Result(
        command.name, f"{command.name}: {told}", State.FAIL if bad else State.PASS, pointer, severity,
        OURS if bad else "", ", ".join(bad)[:500], target,
    )  # fmt: skip
