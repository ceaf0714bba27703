"""The formats, one file each. A module has `matches(value)` and `read(value, report)`; this page is their table of contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wardkeep.scans.formats import (
    clair,
    csaf,
    cyclonedx,
    grype,
    lynis,
    nessus,
    nikto,
    nmap,
    nuclei,
    openscap,
    openvas,
    openvex,
    osv_scanner,
    pip_audit,
    sarif,
    semgrep,
    sslyze,
    sslyze_xml,
    testssl,
    trivy,
    zap,
)
from wardkeep.scans.model import Report


@dataclass(frozen=True)
class Format:
    """How one tool writes. `key` is what `--tool` takes; a tool with two forms has two entries of one key."""

    key: str
    tool: str
    matches: Callable[[Any], bool]
    read: Callable[[Any, Report], None]


# The more telling come first: what only they write is looked for before what others might write too.
FORMATS = (
    Format("openscap", "XCCDF", openscap.matches, openscap.read),
    Format("lynis", "Lynis", lynis.matches, lynis.read),
    Format("nmap", "nmap", nmap.matches, nmap.read),
    Format("openvas", "OpenVAS", openvas.matches, openvas.read),
    Format("nessus", "Nessus", nessus.matches, nessus.read),
    Format("zap", "ZAP", zap.matches, zap.read),
    Format("nikto", "Nikto", nikto.matches, nikto.read),
    Format("sslyze", "sslyze", sslyze.matches, sslyze.read),
    Format("sslyze", "sslyze", sslyze_xml.matches, sslyze_xml.read),
    Format("sarif", "SARIF", sarif.matches, sarif.read),
    Format("cyclonedx", "CycloneDX", cyclonedx.matches, cyclonedx.read),
    Format("openvex", "OpenVEX", openvex.matches, openvex.read),
    Format("csaf", "CSAF", csaf.matches, csaf.read),
    Format("grype", "Grype", grype.matches, grype.read),
    Format("trivy", "Trivy", trivy.matches, trivy.read),
    Format("semgrep", "Semgrep", semgrep.matches, semgrep.read),
    Format("osv-scanner", "OSV-Scanner", osv_scanner.matches, osv_scanner.read),
    Format("clair", "Clair", clair.matches, clair.read),
    Format("nuclei", "Nuclei", nuclei.matches, nuclei.read),
    Format("testssl", "testssl.sh", testssl.matches, testssl.read),
    Format("pip-audit", "pip-audit", pip_audit.matches, pip_audit.read),
)
KEYS = tuple(sorted({one.key for one in FORMATS}))
