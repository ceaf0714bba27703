"""Small result files in the form of each tool, written for these tests, and what must come out of them.

Name → (content, tool, {"state id": severity}). An id that stands twice has its last severity.
"""

from __future__ import annotations

import json

NMAP = """<?xml version="1.0"?>
<!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -sV 192.0.2.7" version="7.95" startstr="Sun Nov 22 2026">
<host><status state="up"/><address addr="192.0.2.7" addrtype="ipv4"/><hostnames><hostname name="app"/></hostnames>
<ports><extraports state="closed" count="998"/>
<port protocol="tcp" portid="22"><state state="open"/><service name="ssh" product="OpenSSH" version="9.2"/>
<script id="vulners" output="x"><table key="cpe"><table><elem key="cvss">9.8</elem><elem key="id">CVE-2099-1</elem>
<elem key="is_exploit">true</elem></table></table></script></port>
<port protocol="tcp" portid="443"><state state="filtered"/>
<script id="ssl-poodle" output="x"><table key="CVE"><elem key="title">POODLE</elem><elem key="state">NOT VULNERABLE</elem></table></script>
</port></ports></host><runstats><finished exit="success"/></runstats></nmaprun>"""

ARF = """<arf:asset-report-collection xmlns:arf="urn:arf" xmlns:x="http://checklists.nist.gov/xccdf/1.2">
<x:Benchmark><x:Group><x:Rule id="r1" severity="high"><x:title>No empty passwords</x:title></x:Rule></x:Group></x:Benchmark>
<arf:reports><arf:report><x:TestResult test-system="cpe:/a:redhat:openscap:1.3.7" end-time="2026-11-22T10:00:00">
<x:target>app-1</x:target>
<x:rule-result idref="r1" severity="high"><x:result>fail</x:result><x:ident>CCE-1</x:ident></x:rule-result>
<x:rule-result idref="r2" severity="low"><x:result>pass</x:result></x:rule-result>
<x:rule-result idref="r3"><x:result>error</x:result></x:rule-result>
<x:rule-result idref="r4"><x:result>notapplicable</x:result></x:rule-result>
<x:rule-result idref="r5"><x:result>perhaps</x:result></x:rule-result>
</x:TestResult></arf:report></arf:reports></arf:asset-report-collection>"""

LYNIS = """# Lynis Report
lynis_version=3.0.8
hostname=app-1
warning[]=FILE-7524|Permissions are wide|/etc/shadow|-|
suggestion[]=SSH-7408|Consider hardening SSH|Port (set 22 to )|-|
exception_event[]=KRNL-1|no data|
tests_executed=FILE-7524|SSH-7408|AUTH-9204
tests_skipped=LDAP-2219
report_datetime_end=2026-11-22 10:00:00
"""

OPENVAS_XML = """<report><report id="1"><gmp><version>22.4</version></gmp><scan_end>2026-11-22T10:00:00Z</scan_end><results>
<result id="a"><name>Weak cipher</name><host>192.0.2.7<hostname>app</hostname></host><port>443/tcp</port>
<nvt oid="1.3.6.1.4"><refs><ref type="cve" id="CVE-2099-2"/></refs></nvt><threat>High</threat><severity>7.5</severity></result>
<result id="b"><name>OS detection</name><host>192.0.2.7</host><nvt oid="1.3.6.2"/><threat>Log</threat><severity>0.0</severity></result>
<result id="c"><host>192.0.2.7</host></result></results>
<errors><error><host>192.0.2.9</host><port>general/tcp</port><description>timed out</description><nvt><name>slow</name></nvt></error></errors>
</report></report>"""

OPENVAS_CSV = """IP,Hostname,Port,Port Protocol,CVSS,Severity,Solution Type,NVT Name,Summary,NVT OID,CVEs
192.0.2.7,app,443,tcp,5.0,Medium,VendorFix,"Old TLS","two
lines",1.2.3,"CVE-2099-3,CVE-2099-4"
192.0.2.7,app,443,tcp
"""

NESSUS = """<NessusClientData_v2><Report name="weekly"><ReportHost name="app-1"><HostProperties><tag name="host-ip">192.0.2.7</tag>
</HostProperties>
<ReportItem port="443" svc_name="www" protocol="tcp" severity="3" pluginID="42" pluginName="Old library"><cve>CVE-2099-5</cve>
<risk_factor>High</risk_factor><solution>Upgrade.</solution></ReportItem>
<ReportItem port="0" protocol="tcp" severity="0" pluginID="10" pluginName="Ping"/>
<ReportItem port="0" protocol="tcp" severity="3" pluginID="21157" pluginName="Unix Compliance" xmlns:cm="urn:cm">
<cm:compliance-check-name>1.1 cramfs is off</cm:compliance-check-name><cm:compliance-result>PASSED</cm:compliance-result></ReportItem>
<ReportItem port="0" severity="9" pluginID="11"/></ReportHost></Report></NessusClientData_v2>"""

NESSUS_CSV = """Plugin ID,CVE,CVSS,Risk,Host,Protocol,Port,Name,Synopsis,Description,Solution,See Also,Plugin Output
42,CVE-2099-5,7.5,High,app-1,tcp,443,Old library,s,d,Upgrade.,,
10,,,None,app-1,tcp,0,Ping,s,d,,,
"""

ZAP_XML = """<OWASPZAPReport version="2.15.0" generated="Sun, 22 Nov 2026"><site name="https://app" host="app" port="443" ssl="true"><alerts>
<alertitem><pluginid>40012</pluginid><alertRef>40012</alertRef><name>Cross Site Scripting</name><riskcode>3</riskcode><confidence>2</confidence>
<riskdesc>High (Medium)</riskdesc><cweid>79</cweid><instances><instance><uri>https://app/?q=1</uri><method>GET</method><param>q</param></instance>
<instance><uri>https://app/find</uri><method>POST</method></instance></instances></alertitem>
<alertitem><pluginid>10027</pluginid><name>Comments</name><riskcode>0</riskcode></alertitem></alerts></site></OWASPZAPReport>"""

NIKTO_XML = """<niktoscan version="2.5.0" scanend="2026-11-22"><scandetails targetip="192.0.2.7" targethostname="app" targetport="443">
<item id="999103" osvdbid="0" method="GET"><description>No X-Content-Type-Options.</description><uri>/</uri></item></scandetails></niktoscan>"""

NIKTO_CSV = """"Nikto - v2.5.0/"
"app","192.0.2.7","443","","","","nginx"
"app","192.0.2.7","443","999103","GET","/","No X-Content-Type-Options."
"""

SSLYZE_XML = """<document SSLyzeVersion="2.0.6"><results><target host="app" ip="192.0.2.7" port="443">
<heartbleed title="Heartbleed"><openSslHeartbleed isVulnerable="True"/></heartbleed>
<certinfo title="c"><certificateValidation><hostnameValidation certificateMatchesServerHostname="True"/>
<pathValidation usingTrustStore="Mozilla" validationResult="ok"/></certificateValidation></certinfo>
<reneg title="r" exception="timed out"/>
<tlsv1 title="t"><acceptedCipherSuites><cipherSuite name="TLS_RSA_WITH_AES_128_CBC_SHA"/></acceptedCipherSuites></tlsv1>
<tlsv1_2 title="t"><acceptedCipherSuites><cipherSuite name="TLS_AES"/></acceptedCipherSuites></tlsv1_2>
</target></results></document>"""

CYCLONEDX_XML = """<bom xmlns="http://cyclonedx.org/schema/bom/1.2" xmlns:v="http://cyclonedx.org/schema/ext/vulnerability/1.0"><components>
<component bom-ref="pkg:deb/zlib"><name>zlib</name><version>1.2</version><v:vulnerabilities>
<v:vulnerability ref="pkg:deb/zlib"><v:id>CVE-2099-6</v:id><v:source name="NVD"/><v:ratings>
<v:rating><v:severity>Low</v:severity><v:method>OWASP</v:method></v:rating>
<v:rating><v:score><v:base>9.8</v:base></v:score><v:severity>Critical</v:severity><v:method>CVSSv3</v:method></v:rating></v:ratings></v:vulnerability>
<v:vulnerability/></v:vulnerabilities></component></components></bom>"""

TESTSSL_CSV = """"id","fqdn/ip","port","severity","finding","cve","cwe"
"SSLv2","app/192.0.2.7","443","OK","not offered","",""
"SWEET32","app/192.0.2.7","443","LOW","uses 64 bit block ciphers","CVE-2016-2183 CVE-2016-6329","CWE-327"
"engine","app/","443","WARN","no engine","",""
"service","app/","443","INFO","HTTP","",""
"odd","app/","443","ODD","","",""
"""


def dump(value: object) -> str:
    return json.dumps(value)


SSLYZE = dump(
    {
        "sslyze_version": "6.1.0",
        "server_scan_results": [
            {
                "scan_status": "COMPLETED",
                "server_location": {"hostname": "app", "ip_address": "192.0.2.7", "port": 443},
                "scan_result": {
                    "heartbleed": {"status": "COMPLETED", "result": {"is_vulnerable_to_heartbleed": True}},
                    "tls_1_0_cipher_suites": {"status": "COMPLETED", "result": {"accepted_cipher_suites": []}},
                    "tls_1_2_cipher_suites": {
                        "status": "COMPLETED",
                        "result": {"accepted_cipher_suites": [{"cipher_suite": {"name": "TLS_RSA_WITH_RC4_128_SHA"}}]},
                    },
                    "robot": {"status": "ERROR", "error_reason": "BUG", "result": None},
                    "http_headers": {"status": "NOT_SCHEDULED"},
                },
            }
        ],
    }
)  # fmt: skip
TRIVY = dump(
    {
        "SchemaVersion": 2, "ArtifactName": "app:1", "Trivy": {"Version": "0.69.1"},
        "Results": [
            {"Target": "app:1 (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2099-7", "PkgName": "zlib1g", "InstalledVersion": "1", "Severity": "HIGH", "SeveritySource": "debian", "Status": "affected"},
                {"PkgName": "nameless"}]},
            {"Target": "package-lock.json", "Class": "lang-pkgs", "Type": "npm"},
            {"Target": "Dockerfile", "Class": "config", "MisconfSummary": {"Successes": 22, "Failures": 1}, "Misconfigurations": [
                {"ID": "DS002", "Title": "root", "Status": "FAIL", "Severity": "HIGH", "CauseMetadata": {"StartLine": 3}}]},
            {"Target": "config.env", "Class": "secret", "Secrets": [
                {"RuleID": "aws-key", "Severity": "CRITICAL", "Title": "AWS", "StartLine": 2, "Match": "KEY=hunter2secret", "Code": {"Lines": ["hunter2secret"]}}]},
            {"Target": "x", "NewKind": [1]},
        ],
    }
)  # fmt: skip
GRYPE = dump(
    {
        "descriptor": {"name": "grype", "version": "0.80.0"}, "source": {"type": "image", "target": {"userInput": "app:1"}},
        "matches": [{"vulnerability": {"id": "CVE-2099-8", "severity": "Critical", "namespace": "debian:distro:debian:12", "fix": {"versions": ["2"], "state": "fixed"}},
                     "artifact": {"name": "zlib1g", "version": "1", "locations": [{"path": "/var/lib/dpkg/status"}]}}],
        "ignoredMatches": [{"vulnerability": {"id": "CVE-2099-9", "severity": "Low"}, "artifact": {"name": "z"}, "appliedIgnoreRules": [{"namespace": "vex"}]}],
    }
)  # fmt: skip
SARIF = dump(
    {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "Semgrep OSS", "semanticVersion": "1.90.0", "rules": [
            {"id": "sqli", "shortDescription": {"text": "SQL injection"}, "properties": {"security-severity": "9.1", "tags": ["CWE-89: x"]}},
            {"id": "quiet"}]}},
            "results": [
                {"ruleId": "sqli", "level": "error", "message": {"text": "query built from input"}, "locations": [
                    {"physicalLocation": {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 7}}}]},
                {"ruleIndex": 0, "message": {"text": "waived"}, "suppressions": [{"kind": "inSource"}]},
                {"ruleId": "p", "kind": "pass", "message": {"text": "fine"}},
                {}],
            "invocations": [{"executionSuccessful": False}]}],
    }
)  # fmt: skip
SEMGREP = dump(
    {
        "version": "1.90.0",
        "results": [{"check_id": "py.eval", "path": "a.py", "start": {"line": 3}, "extra": {"message": "eval", "severity": "ERROR", "metadata": {"cwe": ["CWE-95"]}}}],
        "errors": [{"type": "Syntax error", "message": "cannot parse", "path": "b.py"}],
        "paths": {"scanned": ["a.py", "c.py"], "skipped": [{"path": "big.js", "reason": "too_big"}]},
    }
)  # fmt: skip
ZAP = dump(
    {
        "@programName": "ZAP", "@version": "2.15.0", "@generated": "Sun, 22 Nov 2026",
        "site": [{"@name": "https://app", "alerts": [
            {"pluginid": "10021", "alertRef": "10021", "name": "No header", "riskcode": "1", "confidence": "2", "riskdesc": "Low", "instances": [{"uri": "https://app/", "method": "GET"}]},
            {"pluginid": "10099", "name": "Marked", "riskcode": "2", "confidence": "0", "instances": []},
            {"name": "odd", "riskcode": "7"}]}],
    }
)  # fmt: skip
NIKTO = dump([{"host": "app", "ip": "192.0.2.7", "port": "443", "banner": "nginx", "vulnerabilities": [
    {"id": "999103", "references": "", "method": "GET", "url": "/", "msg": "No X-Content-Type-Options."}, {"id": "1"}]}])  # fmt: skip
NUCLEI = "\n".join(
    dump({"template-id": name, "info": {"name": name, "severity": severity}, "host": "https://app", "matched-at": "https://app/x"})
    for name, severity in (("CVE-2099-10", "critical"), ("tech-detect", "info"), ("odd", "unknown"))
)  # fmt: skip
OPENVEX = dump(
    {
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex", "author": "Example",
        "statements": [
            {"vulnerability": {"name": "CVE-2099-11"}, "products": [{"@id": "pkg:deb/a"}], "status": "not_affected", "justification": "component_not_present"},
            {"vulnerability": "CVE-2099-12", "products": ["pkg:deb/b", "pkg:deb/c"], "status": "affected"},
            {"vulnerability": "CVE-2099-13", "status": "who knows"}],
    }
)  # fmt: skip
CSAF = dump(
    {
        "document": {"csaf_version": "2.0", "category": "csaf_vex", "tracking": {"id": "EX-1"}},
        "product_tree": {"branches": [{"branches": [{"product": {"product_id": "P1", "name": "App 1"}}]}]},
        "vulnerabilities": [
            {"cve": "CVE-2099-14", "product_status": {"known_affected": ["P1"], "fixed": ["P2"]},
             "scores": [{"products": ["P1"], "cvss_v3": {"baseScore": 5.0, "baseSeverity": "MEDIUM"}}]},
            {"title": "nameless"}],
    }
)  # fmt: skip
CYCLONEDX = dump(
    {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"bom-ref": "r1", "name": "zlib", "version": "1"}],
        "vulnerabilities": [
            {"id": "CVE-2099-15", "ratings": [{"severity": "high", "source": {"name": "NVD"}}], "affects": [{"ref": "r1"}, {"ref": "urn:cdx:x/1#r9"}]},
            {"id": "CVE-2099-16", "analysis": {"state": "false_positive"}},
            {"id": "CVE-2099-17", "analysis": {"state": "in_triage"}}, {}],
    }
)  # fmt: skip
OSV = dump(
    {
        "results": [{"source": {"path": "poetry.lock"}, "packages": [
            {"package": {"name": "jinja2", "version": "2.4"}, "groups": [{"ids": ["GHSA-1"], "max_severity": "9.8"}], "vulnerabilities": [
                {"id": "GHSA-1", "summary": "s", "affected": [{"package": {"name": "jinja2"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1"}]}]}]}]},
            {"package": {"name": "six", "version": "1.16"}, "vulnerabilities": []},
            {"package": {}}]}],
    }
)  # fmt: skip
PIP_AUDIT = dump(
    {
        "dependencies": [
            {"name": "jinja2", "version": "2.4", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1"], "aliases": ["CVE-2099-18"]}]},
            {"name": "six", "version": "1.16", "vulns": []}, {"name": "own", "skip_reason": "not on PyPI"}, {}],
        "fixes": [],
    }
)  # fmt: skip
CLAIR = dump(
    {"image": "app:1", "unapproved": ["CVE-2099-19"], "vulnerabilities": [
        {"vulnerability": "CVE-2099-19", "severity": "High", "featurename": "zlib", "featureversion": "1", "namespace": "debian:12"},
        {"severity": "High"}]}
)  # fmt: skip
CLAIR_4 = dump(
    {"manifest_hash": "sha256:1", "packages": {"7": {"name": "zlib", "version": "1"}},
     "vulnerabilities": {"1": {"name": "CVE-2099-20", "normalized_severity": "Medium"}}, "package_vulnerabilities": {"7": ["1", "2"]}}
)  # fmt: skip
TESTSSL_NESTED = dump(
    {"Invocation": "testssl", "version": "3.2", "scanResult": [{"targetHost": "app", "ip": "192.0.2.7", "port": "443", "protocols": [
        {"id": "TLS1", "severity": "MEDIUM", "finding": "offered"}, {"id": "TLS1_3", "severity": "OK", "finding": "offered"}]}]}
)  # fmt: skip

SAMPLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "nmap": (NMAP, "nmap", {
        "info host": "", "info extraports": "", "info port:22/tcp": "", "fail CVE-2099-1": "critical",
        "info port:443/tcp": "", "pass ssl-poodle": ""}),
    "arf": (ARF, "OpenSCAP", {"fail r1": "high", "pass r2": "low", "unknown r3": "", "skipped r4": "", "refused": "1"}),
    "lynis": (LYNIS, "Lynis", {
        "fail FILE-7524": "medium", "fail SSH-7408": "low", "unknown KRNL-1": "", "pass AUTH-9204": "",
        "skipped LDAP-2219": ""}),
    "openvas-xml": (OPENVAS_XML, "OpenVAS", {
        "fail 1.3.6.1.4": "high", "info 1.3.6.2": "none", "unknown slow": "", "refused": "1"}),
    "openvas-csv": (OPENVAS_CSV, "OpenVAS", {"fail 1.2.3": "medium", "refused": "1"}),
    "nessus": (NESSUS, "Nessus", {"fail 42": "high", "info 10": "none", "pass 1.1 cramfs is off": "", "refused": "1"}),
    "nessus-csv": (NESSUS_CSV, "Nessus", {"fail 42": "high", "info 10": "none"}),
    "zap-xml": (ZAP_XML, "ZAP", {"fail 40012": "high", "info 10027": "none"}),
    "zap": (ZAP, "ZAP", {"fail 10021": "low", "skipped 10099": "medium", "refused": "1"}),
    "nikto-xml": (NIKTO_XML, "Nikto", {"fail 999103": ""}),
    "nikto-csv": (NIKTO_CSV, "Nikto", {"info banner": "", "fail 999103": ""}),
    "nikto": (NIKTO, "Nikto", {"fail 999103": "", "refused": "1"}),
    "sslyze-xml": (SSLYZE_XML, "sslyze", {
        "fail openSslHeartbleed.isVulnerable": "critical", "pass hostnameValidation.certificateMatchesServerHostname": "",
        "pass certinfo.trust": "", "unknown reneg": "", "fail tlsv1": "medium", "pass tlsv1_2": ""}),
    "sslyze": (SSLYZE, "sslyze", {
        "fail heartbleed": "critical", "pass tls_1_0_cipher_suites": "", "fail tls_1_2_cipher_suites": "medium",
        "unknown robot": "", "skipped http_headers": ""}),
    "cyclonedx-xml": (CYCLONEDX_XML, "CycloneDX", {"fail CVE-2099-6": "critical", "refused": "1"}),
    "cyclonedx": (CYCLONEDX, "CycloneDX", {
        "fail CVE-2099-15": "high", "pass CVE-2099-16": "", "unknown CVE-2099-17": "", "refused": "1"}),
    "testssl-csv": (TESTSSL_CSV, "testssl.sh", {
        "pass SSLv2": "", "fail SWEET32": "low", "unknown engine": "", "info service": "", "refused": "1"}),
    "testssl-nested": (TESTSSL_NESTED, "testssl.sh", {"fail TLS1": "medium", "pass TLS1_3": ""}),
    "trivy": (TRIVY, "Trivy", {
        "fail CVE-2099-7": "high", "pass looked-at": "", "fail DS002": "high", "pass passed-checks": "",
        "fail aws-key": "critical", "refused": "2"}),
    "grype": (GRYPE, "Grype", {"fail CVE-2099-8": "critical", "skipped CVE-2099-9": "low"}),
    "sarif": (SARIF, "Semgrep OSS (SARIF)", {
        "unknown run": "", "fail sqli": "critical", "skipped sqli": "critical", "pass p": "", "pass quiet": "",
        "refused": "1"}),
    "semgrep": (SEMGREP, "Semgrep", {
        "fail py.eval": "high", "unknown Syntax error": "", "pass looked-at": "", "skipped skipped": ""}),
    "nuclei": (NUCLEI, "Nuclei", {"fail CVE-2099-10": "critical", "info tech-detect": "none", "fail odd": ""}),
    "openvex": (OPENVEX, "OpenVEX", {"pass CVE-2099-11": "", "fail CVE-2099-12": "", "refused": "1"}),
    "csaf": (CSAF, "CSAF", {"fail CVE-2099-14": "medium", "pass CVE-2099-14": "", "refused": "1"}),
    "osv-scanner": (OSV, "OSV-Scanner", {"fail GHSA-1": "critical", "pass looked-at": "", "refused": "1"}),
    "pip-audit": (PIP_AUDIT, "pip-audit", {"fail PYSEC-1": "", "pass looked-at": "", "unknown skipped": "", "refused": "1"}),
    "clair": (CLAIR, "Clair", {"fail CVE-2099-19": "high", "refused": "1"}),
    "clair-4": (CLAIR_4, "Clair", {"fail CVE-2099-20": "medium", "refused": "1"}),
}  # fmt: skip
