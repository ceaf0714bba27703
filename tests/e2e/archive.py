"""A tiny Debian archive inside a lab host: all that is installed there, and a security archive with one fix.

`demo` is a package with a service that runs its own program, as it was released (1.0-1) and fixed (1.0-1+deb1u1).
The archives lie under /srv and are reached by `file:`, so a host without any network can be behind on patches.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wardkeep.lab import Host

BUILD = r"""
arch=$(dpkg --print-architecture)
build() {  # VERSION
  tree=$(mktemp -d); chmod 755 "$tree"
  mkdir -p "$tree/DEBIAN" "$tree/usr/lib/demo" "$tree/lib/systemd/system"
  cp "$(command -v sleep)" "$tree/usr/lib/demo/demod"; printf '%s\n' "$1" >>"$tree/usr/lib/demo/demod"
  printf '[Service]\nExecStart=/usr/lib/demo/demod infinity\n[Install]\nWantedBy=multi-user.target\n' \
    >"$tree/lib/systemd/system/demo.service"
  printf 'Package: demo\nVersion: %s\nArchitecture: %s\nMaintainer: Lab <lab@example.test>\nPriority: optional\nSection: net\nDescription: a service to patch\n' \
    "$1" "$arch" >"$tree/DEBIAN/control"
  mkdir -p /srv/archive/pool; dpkg-deb --root-owner-group -Zgzip -b "$tree" "/srv/archive/pool/demo_$1_$arch.deb" >/dev/null; rm -rf "$tree"
}
stanza() {  # DEB
  dpkg-deb -f "$1"
  printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' "${1##*/}" "$(stat -c %s "$1")" "$(sha256sum "$1" | cut -d' ' -f1)"
}
release() {  # NAME LABEL SUITE DATE UNTIL
  cd "/srv/archive/dists/$1"
  printf 'Origin: Debian\nLabel: %s\nSuite: %s\nCodename: %s\nDate: %s\n' "$2" "$3" "$1" "$4" >Release
  [ -z "$5" ] || printf 'Valid-Until: %s\n' "$5" >>Release
  printf 'Architectures: %s\nComponents: main\nSHA256:\n' "$arch" >>Release
  f=main/binary-$arch/Packages; printf ' %s %s %s\n' "$(sha256sum $f | cut -d' ' -f1)" "$(stat -c %s $f)" "$f" >>Release
}
"""
# What is installed becomes what the stable archive has: the status file's own stanzas, less what only dpkg keeps.
PUBLISH = (
    BUILD
    + r"""
build 1.0-1; build 1.0-1+deb1u1
stable=/srv/archive/dists/lab/main/binary-$arch; security=/srv/archive/dists/lab-security/main/binary-$arch
mkdir -p "$stable" "$security"
sed -e '/^Status: /d' -e '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d}' -e '/^Config-Version: /d' \
  -e 's,^Package: \(.*\),&\nFilename: pool/\1.deb\nSize: 1\nSHA256: 0000000000000000000000000000000000000000000000000000000000000000,' \
  /var/lib/dpkg/status >"$stable/Packages"
stanza /srv/archive/pool/demo_1.0-1_$arch.deb >>"$stable/Packages"
stanza "/srv/archive/pool/demo_1.0-1+deb1u1_$arch.deb" >"$security/Packages"
dpkg -i /srv/archive/pool/demo_1.0-1_$arch.deb >/dev/null; systemctl start demo
printf 'deb [trusted=yes] file:/srv/archive lab main\ndeb [trusted=yes] file:/srv/archive lab-security main\n' >/etc/apt/sources.list
"""
)


def _rfc(when: datetime) -> str:
    return when.strftime("%a, %d %b %Y %H:%M:%S UTC")


def publish(host: Host) -> None:
    """Give the host its archives, install the unfixed `demo` and start its service. The lists are fresh."""
    host.stage(PUBLISH)
    sign(host)


def sign(
    host: Host,
    *,
    age: timedelta = timedelta(hours=1),
    until: timedelta = timedelta(days=7),
    fetch: bool = True,
) -> None:
    """Write the Release files anew, as of `age` ago and valid for `until` from then; with `fetch` the host takes them."""
    now = datetime.now(UTC)
    date, end = _rfc(now - age), _rfc(now - age + until)
    old = _rfc(now - timedelta(days=200))
    host.stage(
        BUILD
        + f"release lab Debian stable '{old}' ''\n"
        + f"release lab-security Debian-Security stable-security '{date}' '{end}'\n"
    )
    if fetch:
        host.stage(
            "rm -rf /var/lib/apt/lists/*; apt-get -q -o Acquire::Check-Valid-Until=false update >/dev/null 2>&1"
        )


def forget(host: Host) -> None:
    """The host has not heard of its archives for nine days."""
    sign(host, age=timedelta(days=9))
