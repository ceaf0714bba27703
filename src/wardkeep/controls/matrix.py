"""The shared-responsibility matrix: 25 rows, their titles word for word, who carries them, what they serve.

Paragraphs are of 45 CFR Part 164 as in force (2013 Omnibus text); kinds are those of Subpart C's Appendix A:
R required, A addressable, s a standard that must be met; "" for paragraphs outside the Security Rule.
"Addressable" is not optional (164.306(d)(3)). Every citation has a sentence of its own, saying why keeping
*this row* serves that paragraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Citation
from wardkeep.core.profiles import did_you_mean

Party = Literal["platform", "customer"]


@dataclass(frozen=True, slots=True)
class Row:
    """One promise of the product. `routine` marks recurring work, as opposed to a standing property."""

    number: int  # 1 to 25
    id: str
    title: str
    party: Party
    citations: tuple[Citation, ...]
    routine: bool = False

    def because(self, paragraph: str) -> str:
        """Why the row serves the paragraph; "" when the row does not cite it."""
        return next((c.because for c in self.citations if c.paragraph == paragraph), "")


_rows: list[Row] = []


def _row(id_: str, title: str, cites: str, *, party: Party = "platform", routine: bool = False) -> None:
    """Add a row. `cites` has a line for each citation: kind ("-" for none), paragraph after "164.", because."""
    citations = []
    for line in cites.strip().splitlines():
        key, _, because = line.partition(": ")
        kind, _, paragraph = key.partition(" ")
        citations.append(Citation(f"164.{paragraph}", kind.strip("-"), because))
    _rows.append(Row(len(_rows) + 1, id_, title, party, tuple(citations), routine))


_row(
    "intrusion_analysis",
    "Analysis of intrusion detection system data for anomalous activity and system issues",
    """
R 308(a)(1)(ii)(D): Working through the sensor's events is the regular review of system activity itself.
R 308(a)(6)(ii): A suspected incident can be answered and documented only once the analysis has named it.
A 308(a)(5)(ii)(C): Failed and odd log-ins are read here and the discrepancies reported.
s 312(b): Audit controls must record and also examine activity; this row is the examining.
""",
    routine=True,
)
_row(
    "firewall_audit",
    "Audits of firewall rules and IP address whitelists",
    """
s 312(a)(1): Each audited rule is a grant of access; the audit finds grants that nobody owns any more.
s 312(e)(1): The audit shows from where data in transit can be reached, and closes paths nobody needs.
A 308(a)(4)(ii)(C): Reviewing whitelists is how rights of access by address are reviewed and modified.
R 308(a)(8): It is a periodic technical evaluation, repeated whenever rules or networks change.
R 308(a)(1)(ii)(B): Removing stale openings reduces exposure to what the business needs.
""",
    routine=True,
)
_row(
    "base_images",
    "Maintaining base images for Docker containers",
    """
R 308(a)(1)(ii)(B): Rebuilding images with fixed packages removes known flaws from every container.
A 308(a)(5)(ii)(B): Images built from known packages, pinned by digest, keep planted code out.
s 312(c)(1): A signed, reproducible image shows whether software that handles the data was altered.
""",
    routine=True,
)
_row(
    "vulnerability_review",
    "Review of published vulnerabilities and exposures",
    """
R 308(a)(1)(ii)(A): Matching advisories to the inventory names the flaws that threaten the data.
R 308(a)(1)(ii)(B): Each reviewed flaw gets a decision and a deadline, which is how its risk is managed.
A 308(a)(5)(ii)(A): The review is where security updates reach the people who run the systems.
R 308(a)(8): Newly published flaws change the environment; the review re-evaluates the systems for them.
""",
    routine=True,
)
_row(
    "security_patching",
    "Security patching",
    """
R 308(a)(1)(ii)(B): Installing a published fix within its deadline reduces a known risk to what is left.
A 308(a)(5)(ii)(B): Malicious software enters through unpatched flaws; patching guards against it.
""",
    routine=True,
)
_row(
    "vm_scans",
    "Virtual machine scans and testing",
    """
R 308(a)(8): Scanning a machine against a baseline is a periodic technical evaluation of it.
R 308(a)(1)(ii)(A): What the scans find on a machine is the input that risk analysis needs.
A 308(a)(5)(ii)(B): Scans for malware and rootkits detect malicious software and report it.
A 312(c)(2): File integrity checks corroborate that data and programs were not altered unnoticed.
""",
    routine=True,
)
_row(
    "app_authentication",
    "Application authentication and user management",
    """
R 312(a)(2)(i): One account for each person lets every act in the application be traced to somebody.
R 312(a)(2)(ii): A break-glass account of the application gets clinicians to data in an emergency.
s 312(d): Signing in is where the application verifies that a person is the one claimed.
A 312(a)(2)(iii): Sessions that end when idle are the application's automatic logoff.
A 308(a)(5)(ii)(C): The application sees its own log-in attempts, so only it can report odd ones.
A 308(a)(5)(ii)(D): How the application's passwords are made, changed and stored is decided here.
A 308(a)(3)(ii)(C): Ending a leaver's application account ends that access to the data.
A 308(a)(4)(ii)(B): The application's roles are how access to its data is granted.
A 308(a)(4)(ii)(C): Reviewing and changing application accounts keeps rights as they were authorised.
""",
    party="customer",
)
_row(
    "app_access",
    "Application-level access controls and access logs",
    """
s 312(b): Who read or changed which record is known only to the application, which must log it.
s 312(a)(1): Checks inside the application let a user reach only the records granted.
R 308(a)(1)(ii)(D): The application's access reports are records the regular review has to cover.
A 308(a)(4)(ii)(B): Rights to a record or function are granted in the application's own rules.
A 308(a)(4)(ii)(C): Access logs show rights that are no longer used, so that they can be modified.
s 312(c)(1): Write rights held to those who need them protect records from improper change.
- 528: An accounting of disclosures six years back can be made only from the application's access log.
""",
    party="customer",
)
_row(
    "client_side_encryption",
    "Client-side data encryption",
    """
A 312(a)(2)(iv): Data encrypted before it leaves the client is unreadable to everyone without its key.
A 312(e)(2)(ii): Such data stays encrypted in transit even where a connection is terminated midway.
- 402: Data encrypted as the Secretary's guidance describes is not unsecured, so its loss is no breach.
""",
    party="customer",
)
_row(
    "code_review",
    "Code reviews and vulnerability assessment (cross-site scripting, SQL injection, etc.)",
    """
R 308(a)(8): Reviewing each change is a technical evaluation in response to an operational change.
R 308(a)(1)(ii)(A): The flaws found in the application's code belong in its risk analysis.
R 308(a)(1)(ii)(B): Mending an injection before release reduces that risk where it starts.
s 312(c)(1): SQL injection alters and destroys records; reviews keep it out of the code.
""",
    party="customer",
)
_row(
    "encryption_at_rest",
    "Data encryption at rest (server-side)",
    """
A 312(a)(2)(iv): An encrypted volume is the mechanism that encrypts and decrypts stored data.
R 310(d)(2)(i): A disposed disk whose volume was encrypted gives nothing away once its key is gone.
R 310(d)(2)(ii): Before media are used again, dropping the key removes the data that was on them.
""",
)
_row(
    "traffic_encryption",
    "Network traffic encryption",
    """
s 312(e)(1): Encrypted connections keep outsiders on the network from reading data sent over it.
A 312(e)(2)(i): TLS and SSH authenticate every record, so a change in transit is detected.
A 312(e)(2)(ii): This row is the mechanism that encrypts data in transmission.
""",
)
_row(
    "intrusion_prevention",
    "Intrusion detection and prevention",
    """
R 308(a)(6)(ii): A sensor identifies an incident while it happens and a ban limits its harm.
R 308(a)(1)(ii)(D): The sensor writes the incident records that the activity review reads.
A 308(a)(5)(ii)(B): Signatures and integrity monitoring detect malicious software and report it.
A 308(a)(5)(ii)(C): Repeated failing log-ins are seen and answered while they go on.
s 312(b): The sensor is one of the mechanisms that record activity on systems with the data.
A 312(c)(2): File integrity monitoring shows alterations nobody authorised.
""",
)
_row(
    "backups",
    "Automated backups",
    """
R 308(a)(7)(ii)(A): Automated backups create and keep the retrievable exact copies the plan asks for.
R 308(a)(7)(ii)(B): A restore from these copies is how lost data comes back.
A 308(a)(7)(ii)(D): The restore drill is the periodic test of the contingency plan.
A 310(d)(2)(iv): An exact copy exists before equipment is moved, because one is made every day.
""",
)
_row(
    "system_monitoring",
    "System monitoring",
    """
R 308(a)(1)(ii)(D): Recorded load, errors and restarts are activity records that somebody looks at.
s 312(b): Monitoring records what systems holding the data do, minute by minute.
s 308(a)(7)(i): A full disk or a dead host is an emergency; monitoring says when to start the plan.
""",
)
_row(
    "replication",
    "Data replication",
    """
R 308(a)(7)(ii)(A): A replica is a second, current copy beside the backups.
R 308(a)(7)(ii)(B): Promoting a replica restores the data lost with a primary.
s 312(c)(1): A second copy protects the data from destruction with one machine.
""",
)
_row(
    "redundancy",
    "System redundancy",
    """
R 308(a)(7)(ii)(B): A standby system is where service is restored when the first is lost.
R 308(a)(7)(ii)(C): Critical processes go on, with their safeguards, while a part is down.
A 308(a)(7)(ii)(D): Failing over on purpose tests that part of the contingency plan.
A 308(a)(7)(ii)(E): Choosing what gets a standby needs, and records, what is critical.
R 312(a)(2)(ii): Needed data stays reachable in an emergency that takes one machine.
A 310(a)(2)(i): With a standby elsewhere, restoring does not wait for entry to the lost facility.
""",
)
_row(
    "firewall",
    "Firewall configuration and management",
    """
s 312(a)(1): Only the addresses and ports that were granted reach systems with the data.
s 312(e)(1): Services meant for the inside cannot be reached from networks outside.
A 308(a)(4)(ii)(B): A rule set derived from policy is the grant of access in the network.
R 308(a)(1)(ii)(B): Refusing by default reduces what an attacker can reach at all.
""",
)
_row(
    "keys",
    "Encryption key management",
    """
A 312(a)(2)(iv): Encryption at rest is worth what the secrecy and renewal of its keys are worth.
A 312(e)(2)(ii): The private keys of TLS and SSH decide who can pose as the server in transit.
R 310(d)(2)(i): Destroying a key is how the data it encrypts is finally disposed of.
""",
)
_row(
    "system_access",
    "System access controls and logging",
    """
s 312(a)(1): Accounts, keys and sudo rules let only those granted access enter the hosts.
R 312(a)(2)(i): Each administrator enters under a name of their own, never a shared one.
R 312(a)(2)(ii): A tested emergency way in exists when the usual one fails.
A 312(a)(2)(iii): Idle shells and sessions of administrators end by themselves.
s 312(b): Log-ins and privileged commands on the hosts are recorded.
s 312(d): Keys and a second factor verify that an administrator is who they claim to be.
A 308(a)(3)(ii)(A): Sudo rules say which of the workforce may act on the data's systems.
A 308(a)(3)(ii)(B): Every account has an owner whose access somebody found appropriate.
A 308(a)(3)(ii)(C): Accounts and keys of leavers are found and ended.
A 308(a)(4)(ii)(B): Access to a host is granted by policy, not by whoever has a key to copy.
A 308(a)(4)(ii)(C): Accounts, keys and groups are compared with what was authorised, and corrected.
A 308(a)(5)(ii)(C): Log-in attempts on the hosts are recorded so that discrepancies can be reported.
""",
)
_row(
    "operating_system",
    "Operating system: management, maintenance and patching",
    """
R 308(a)(1)(ii)(B): A supported, current and hardened system has fewer flaws to exploit.
A 308(a)(5)(ii)(B): Kernel and system updates close the flaws that malicious software uses.
R 308(a)(8): Each daily look evaluates the system again after every change to it.
A 310(a)(2)(iv): Maintenance of a machine is recorded; work on its physical parts belongs there too.
""",
)
_row(
    "database_engine",
    "Database engine: administration, maintenance and patching",
    """
R 308(a)(1)(ii)(B): A supported, patched engine reduces the risk where the data is most concentrated.
A 308(a)(5)(ii)(B): Fixed engine flaws cannot be used to plant malicious code beside the data.
R 308(a)(8): Engine versions and settings are evaluated again after each change.
R 308(a)(7)(ii)(A): The engine's dumps and write-ahead log are what exact copies are made of.
s 312(c)(1): Checksums and durable commits protect records from silent alteration.
""",
)
_row(
    "log_archive",
    "Log aggregation and archiving",
    """
s 312(b): A record of activity is worth something only if it outlives the machine that wrote it.
R 308(a)(1)(ii)(D): Logs brought together in one place can be reviewed regularly.
R 316(b)(1)(ii): The archive is the written record of actions and assessments that must be kept.
R 316(b)(2)(i): Archived records are kept six years from their making.
""",
)
_row(
    "vulnerability_scanning",
    "Vulnerability scanning",
    """
R 308(a)(1)(ii)(A): A scan shows which flaws are really present, which risk analysis must weigh.
R 308(a)(8): Scanning on a schedule is a periodic technical evaluation.
R 308(a)(1)(ii)(B): Scan results with deadlines drive the fixes that reduce the risk.
""",
)
_row(
    "alerting",
    "Monitoring and alerting",
    """
R 308(a)(6)(ii): Nobody responds to an incident they were not told of; alerts tell them.
R 308(a)(1)(ii)(D): An alert puts the record that matters before a person at once.
A 308(a)(5)(ii)(C): Discrepancies in log-ins are reported to somebody, not only logged.
R 314(a)(2)(i)(C): A business associate can report an incident only once it becomes aware of it.
- 410: The 60 days for telling a covered entity of a breach run from its discovery, which alerts hasten.
""",
)

ROWS: tuple[Row, ...] = tuple(_rows)
BY_ID: Mapping[str, Row] = {row.id: row for row in ROWS}


def row(id_: str) -> Row:
    """The row of that id. Raises BadInput naming the nearest one."""
    if id_ not in BY_ID:
        raise BadInput(f"no row of the matrix is called `{id_}`", todo=did_you_mean(id_, BY_ID))
    return BY_ID[id_]
