#!/usr/bin/env bash
# Install the named Debian packages that are missing, from this machine's own apt sources, and say so.
# Nothing that a package brings is started: a policy-rc.d of ours stands for the length of the installation.
set -euo pipefail
missing=()
for package in "$@"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "wardkeep: this is no Debian (no apt-get); install by hand: ${missing[*]}" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "wardkeep: not root and no sudo; install by hand: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "wardkeep: installing Debian packages: ${missing[*]}"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi
log=$(mktemp)
run() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }; }
install() { run apt-get install -y -q --no-install-recommends "${missing[@]}"; }
run apt-get update -q || echo "wardkeep: apt-get update failed; trying with the lists that are here" >&2
install || { echo "wardkeep: apt-get could not install: ${missing[*]}" >&2; exit 1; }

