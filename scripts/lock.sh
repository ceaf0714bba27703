#!/usr/bin/env bash
# Write requirements.lock and requirements-dev.lock: exact versions with hashes, and no archive's address.
set -euo pipefail
cd "$(dirname "$0")/.."
common=(--quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate)
${LOCKER:-.venv/bin/pip-compile} "${common[@]}" "$@" --all-build-deps -o requirements.lock pyproject.toml
wanted=$(mktemp --suffix=.in)
trap 'rm -f "$wanted"' EXIT
python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' >"$wanted"
${LOCKER:-.venv/bin/pip-compile} "${common[@]}" "$@" -c requirements.lock -o requirements-dev.lock "$wanted"
sed -i '/^ *#/d' requirements.lock requirements-dev.lock
