"""Small feeds in the forms of the real ones, for a Debian 12 host and a few language packages; written by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

TRACKER: dict[str, Any] = {
    "openssl": {
        "CVE-2026-0001": {
            "description": "A read too far.",
            "scope": "remote",
            "releases": {
                "bookworm": {
                    "status": "resolved",
                    "repositories": {"bookworm": "3.0.11-1", "bookworm-security": "3.0.15-1~deb12u1"},
                    "fixed_version": "3.0.15-1~deb12u1",
                    "urgency": "high",
                },
                "sid": {
                    "status": "resolved",
                    "repositories": {"sid": "3.3.2-1"},
                    "fixed_version": "3.3.2-1",
                    "urgency": "high",
                },
            },
        },
        # The source names a version that no repository has: a fix version is not a released fix.
        "CVE-2026-0002": {
            "releases": {
                "bookworm": {
                    "status": "resolved",
                    "repositories": {"bookworm": "3.0.11-1", "bookworm-security": "3.0.15-1~deb12u1"},
                    "fixed_version": "3.0.16-1~deb12u1",
                    "urgency": "not yet assigned",
                }
            }
        },
        "CVE-2026-0003": {
            "releases": {
                "bookworm": {
                    "status": "open",
                    "repositories": {"bookworm": "3.0.11-1"},
                    "urgency": "not yet assigned",
                    "nodsa": "Minor issue",
                    "nodsa_reason": "postponed",
                }
            }
        },
        "CVE-2026-0004": {
            "releases": {
                "bookworm": {
                    "status": "resolved",
                    "repositories": {},
                    "fixed_version": "0",
                    "urgency": "unimportant",
                }
            }
        },
        "CVE-2026-0005": {
            "releases": {
                "bookworm": {"status": "undetermined", "repositories": {}, "urgency": "not yet assigned"}
            }
        },
        "CVE-2026-0006": {
            "releases": {
                "bookworm": {"status": "open", "repositories": {"bookworm": "3.0.11-1"}, "urgency": "medium"}
            }
        },
    },
    "zlib": {
        "CVE-2023-45853": {
            "description": "MiniZip has an integer overflow.",
            "releases": {
                "bookworm": {
                    "status": "open",
                    "repositories": {"bookworm": "1:1.2.13.dfsg-1"},
                    "urgency": "not yet assigned",
                    "nodsa": "contrib/minizip not built and src:zlib not producing binary packages",
                    "nodsa_reason": "ignored",
                }
            },
        }
    },
    "chromium": {
        "CVE-2026-0007": {
            "releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "end-of-life"}}
        }
    },
    "raspi-firmware": {
        "CVE-2026-0008": {
            "releases": {
                "bookworm": {
                    "status": "resolved",
                    "repositories": {"bookworm": "1.20220830+ds-1"},
                    "fixed_version": "1.20220830+ds-1",
                    "urgency": "low",
                }
            }
        }
    },
}
LIST = """\
[12 Oct 2026] DSA-9001-1 openssl - security update
\t{CVE-2026-0001}
\t[bookworm] - openssl 3.0.15-1~deb12u1
\tNOTE: of no use here
[01 Oct 2026] DSA-9000-1 oldthing - security update
\t[bookworm] - oldthing 2.0-1+deb12u1
\t[bullseye] - oldthing <not-affected> (Vulnerable code not present)
"""
OSV: list[dict[str, Any]] = [
    {
        "id": "GHSA-aaaa-bbbb-cccc",
        "modified": "2026-11-20T00:00:00Z",
        "published": "2026-11-01T00:00:00Z",
        "aliases": ["CVE-2026-1000"],
        "summary": "Left-pad pads right",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "database_specific": {"severity": "CRITICAL"},
        "affected": [
            {
                "package": {"ecosystem": "npm", "name": "left-pad"},
                "ranges": [
                    {
                        "type": "SEMVER",
                        "events": [
                            {"introduced": "2.0.0"},
                            {"fixed": "2.1.1"},
                            {"introduced": "0"},
                            {"fixed": "1.3.1"},
                        ],
                    }
                ],
            }
        ],
    },
    {
        "id": "PYSEC-2026-1",
        "modified": "2026-11-19T00:00:00Z",
        "published": "2026-11-02T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "Some.Thing"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "1.5"}]}],
                "versions": ["1.4", "1.5.0", "1.9b1"],
            }
        ],
    },
    {
        "id": "PYSEC-2026-2",
        "modified": "2026-11-19T00:00:00Z",
        "aliases": ["GHSA-same"],
        "affected": [{"package": {"ecosystem": "PyPI", "name": "twice"}, "versions": ["1.0"]}],
    },
    {
        "id": "GHSA-same",
        "aliases": ["PYSEC-2026-2"],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "twice"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
            }
        ],
    },
    {
        "id": "GHSA-maven",
        "modified": "2026-11-19T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "Maven", "name": "org.example:thing"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "1.2.RELEASE"}]}
                ],
            }
        ],
    },
    {
        "id": "GHSA-gone",
        "withdrawn": "2026-01-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "npm", "name": "left-pad"}}],
    },
    {
        "id": "MAL-2026-7",
        "affected": [{"package": {"ecosystem": "npm", "name": "evil"}, "versions": ["6.6.6"]}],
    },
    {
        "id": "GHSA-unread",
        "affected": [
            {
                "package": {"ecosystem": "npm", "name": "odd"},
                "ranges": [
                    {
                        "type": "SEMVER",
                        "events": [{"introduced": "0"}, {"fixed": "next week"}, {"introduced": "5"}],
                    }
                ],
            }
        ],
    },
]
KEV = {
    "catalogVersion": "2026.11.20",
    "dateReleased": "2026-11-20T12:00:00Z",
    "count": 1,
    "vulnerabilities": [
        {
            "cveID": "CVE-2026-0001",
            "dateAdded": "2026-10-20",
            "dueDate": "2026-11-10",
            "knownRansomwareCampaignUse": "Known",
        }
    ],
}
EPSS = "#model_version:v2026.01.01,score_date:2026-11-20T00:00:00+0000\ncve,epss,percentile\nCVE-2026-1000,0.5,0.99\nCVE-2026-9999,0.1,0.5\n"
CVE5 = {
    "dataType": "CVE_RECORD",
    "cveMetadata": {"cveId": "CVE-2026-0006", "state": "PUBLISHED", "datePublished": "2026-09-01T00:00:00Z"},
    "containers": {
        "cna": {
            "providerMetadata": {"shortName": "openssl"},
            "title": "A wrong free",
            "metrics": [{"cvssV3_1": {"baseScore": 7.5, "baseSeverity": "HIGH", "vectorString": "-"}}],
        },
        "adp": [
            {
                "providerMetadata": {"shortName": "CISA-ADP"},
                "metrics": [
                    {
                        "other": {
                            "type": "ssvc",
                            "content": {
                                "options": [
                                    {"Exploitation": "poc"},
                                    {"Automatable": "yes"},
                                    {"Technical Impact": "total"},
                                ]
                            },
                        }
                    }
                ],
            }
        ],
    },
}
STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.14-1~deb12u2)
Version: 3.0.14-1~deb12u2+b1

Package: openssl
Status: hold ok installed
Architecture: amd64
Version: 3.0.14-1~deb12u2

Package: zlib1g
Status: install ok installed
Source: zlib
Version: 1:1.2.13.dfsg-1

Package: gone
Status: deinstall ok config-files
Source: openssl
Version: 1.0-1

Package: raspi-firmware
Status: install ok installed
Version: 1:1.20220801+ds-1+rpt1
"""
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'


def write_feeds(folder: Path) -> Path:
    """All of them, each in the file form it is published in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "debian-tracker.json").write_text(json.dumps(TRACKER))
    (folder / "DSA.list").write_text(LIST)
    (folder / "osv.json").write_text(json.dumps(OSV))
    (folder / "kev.json").write_text(json.dumps(KEV))
    (folder / "epss.csv.gz").write_bytes(gzip.compress(EPSS.encode()))
    (folder / "CVE-2026-0006.json").write_text(json.dumps(CVE5))
    return folder


def write_root(folder: Path) -> Path:
    """A root folder of a Debian 12 system."""
    (folder / "var/lib/dpkg").mkdir(parents=True)
    (folder / "etc").mkdir()
    (folder / "var/lib/dpkg/status").write_text(STATUS)
    (folder / "etc/os-release").write_text(OS_RELEASE)
    return folder
