# The clinic's own programs as Debian packages, released (1.0-1) and fixed (1.0-1+deb1u1), in an archive on the host
# itself that is reached by `file:`. The hosts have no network to fetch from; the fix is on offer, and not installed.
arch=$(dpkg --print-architecture)
dists=/srv/archive/dists; pool=/srv/archive/pool
mkdir -p $dists/clinic/main/binary-$arch $dists/clinic-security/main/binary-$arch $pool

build() {  # NAME VERSION TREE: a package of the folder TREE, whose service is restarted when it is installed
  mkdir -p "$3/DEBIAN" "$3/lib/systemd/system"
  cp "/root/clinic/$1.service" "$3/lib/systemd/system/"
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Clinic <it@clinic.example>\nPriority: optional\nSection: net\nDescription: a program of the clinic\n' \
    "$1" "$2" "$arch" >"$3/DEBIAN/control"
  cat >"$3/DEBIAN/postinst" <<C
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload; systemctl enable -q $1; systemctl restart $1
else
  /usr/lib/$1/start
fi
C
  chmod 755 "$3" "$3/DEBIAN/postinst"
  dpkg-deb --root-owner-group -Zgzip -b "$3" "$pool/$1_$2_$arch.deb" >/dev/null; rm -rf "$3"
}
stanza() {  # DEB
  dpkg-deb -f "$1"
  printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' "${1##*/}" "$(stat -c %s "$1")" "$(sha256sum "$1" | cut -d' ' -f1)"
}
release() {  # NAME LABEL SUITE
  file=main/binary-$arch/Packages; cd "$dists/$1"
  {
    printf 'Origin: Debian\nLabel: %s\nSuite: %s\nCodename: %s\n' "$2" "$3" "$1"
    printf 'Date: %s\nValid-Until: %s\n' "$(LC_ALL=C date -Ru -d '-1 hour' | sed 's/+0000/UTC/')" "$(LC_ALL=C date -Ru -d '+7 days' | sed 's/+0000/UTC/')"
    printf 'Architectures: %s\nComponents: main\nSHA256:\n %s %s %s\n' "$arch" "$(sha256sum $file | cut -d' ' -f1)" "$(stat -c %s $file)" "$file"
  } >Release
}
publish() {  # NAME: what is installed here is what the stable archive offers; the fix is in the security archive
  sed -e '/^Status: /d' -e '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d}' -e '/^Config-Version: /d' \
    -e 's,^Package: \(.*\),&\nFilename: pool/\1.deb\nSize: 1\nSHA256: 0000000000000000000000000000000000000000000000000000000000000000,' \
    /var/lib/dpkg/status >$dists/clinic/main/binary-$arch/Packages
  stanza "$pool/$1_1.0-1_$arch.deb" >>$dists/clinic/main/binary-$arch/Packages
  stanza "$pool/$1_1.0-1+deb1u1_$arch.deb" >$dists/clinic-security/main/binary-$arch/Packages
  release clinic Debian stable; release clinic-security Debian-Security stable-security
  dpkg -i "$pool/$1_1.0-1_$arch.deb" >/dev/null
  printf 'deb [trusted=yes] file:/srv/archive clinic main\ndeb [trusted=yes] file:/srv/archive clinic-security main\n' >/etc/apt/sources.list
  # A namespace host has the lists of the machine that it borrows: here the clinic knows its own archive only.
  rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
  apt-get -q update >/dev/null 2>&1
}
