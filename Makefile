# make up: bring Wardkeep up on this machine. make test: the tests. Each installs what it needs and says so.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python
# Live hosts need root: where make is run by somebody else, sudo.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || { command -v sudo >/dev/null && echo sudo; }) env

# Debian packages, each list with what it is for.
RUN_PACKAGES := python3-venv
# PostgreSQL, sshd, namespaces with nftables and a browser: the tests run the real thing.
TEST_PACKAGES := python3-venv systemd busybox openssh-server openssh-client sudo nftables iptables iproute2 postgresql chromium fonts-dejavu-core
# Live Debian hosts for the scenarios: containers and virtual machines.
E2E_PACKAGES := podman runc mmdebstrap uidmap netavark aardvark-dns debian-archive-keyring openssh-client iproute2 curl \
  qemu-system-x86 qemu-utils swtpm e2fsprogs
# gcc and libdpkg-dev: the yardstick of versions is libdpkg itself.
BENCH_PACKAGES := $(TEST_PACKAGES) gcc libdpkg-dev

.PHONY: help compiled up test search lint e2e scenarios bench record lock wheel docs screenshots clean
help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: compiled ## bring Wardkeep up here (read-only look at this machine) and serve the console
	@exec .venv/bin/wardkeep up

test: .venv/.dev compiled ## run the tests
	@scripts/packages.sh $(TEST_PACKAGES)
	$(PY) -m pytest -m "not e2e" --durations=15

search: .venv/.dev ## the laws and other generated tests on examples never tried before, 25 times as many worlds (5 minutes)
	@scripts/packages.sh $(TEST_PACKAGES)
	WARDKEEP_SEARCH=25 $(PY) -m pytest tests/laws tests/ledger tests/allowlists tests/facts tests/controls

lint: .venv/.dev ## ruff and mypy --strict
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

e2e: .venv/.dev compiled ## scenarios on live Debian hosts (namespaces, containers, virtual machines)
	@scripts/packages.sh $(TEST_PACKAGES) $(E2E_PACKAGES)
	$(AS_ROOT) WARDKEEP_LAB=required $(PY) scripts/e2e.py

scenarios: .venv/.dev compiled ## what CI runs of them: within an hour, on the kinds of host that this machine can carry
	@scripts/packages.sh $(TEST_PACKAGES) $(E2E_PACKAGES)
	$(AS_ROOT) $(PY) scripts/e2e.py --kinds .ci/kinds --minutes 60 --again

bench: .venv/.dev compiled ## measure, each figure with its yardstick in the same run
	@scripts/packages.sh $(BENCH_PACKAGES)
	$(PY) -m bench

record: .venv/.dev ## make the recorded hosts in tests/hosts anew, from the staged states (tests/staged)
	@scripts/packages.sh $(E2E_PACKAGES)
	$(AS_ROOT) PYTHONPATH=src:. $(PY) -m tests.e2e.record_hosts

lock: .venv/.dev ## renew the locked dependencies
	$(PY) -m pip install -q pip-tools
	scripts/lock.sh

wheel: .venv/.dev ## build the wheel into dist/
	$(PY) -m pip wheel -q --no-deps --no-build-isolation -w dist .
	@ls dist/*.whl

docs: .venv/.dev ## renew what docs/controls say of rules and gaps from the code
	$(PY) scripts/control_pages.py && $(PY) scripts/profile_page.py

screenshots: .venv/.dev ## renew the pictures in docs/images from the running console
	@scripts/packages.sh $(TEST_PACKAGES)
	$(PY) -m tests.console.screenshots

clean: ## remove what make made (never the platform's state)
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Where PYTHONDONTWRITEBYTECODE is set, each start of each program would compile the sources anew: half a second.
compiled: .venv/.run
	@$(PY) -m compileall -q src

.venv/.made:
	@scripts/packages.sh $(RUN_PACKAGES)
	@echo "wardkeep: making the Python environment .venv"
	python3 -m venv .venv
	@touch $@
.venv/.run: .venv/.made requirements.lock pyproject.toml
	@echo "wardkeep: installing the locked Python packages (about a minute the first time)"
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
.venv/.dev: .venv/.run requirements-dev.lock
	@echo "wardkeep: installing the locked tools for tests and lint"
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
