"""The drill: forbidden log-ins over the network, and a record of them on the host."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.system_access.row import control
from wardkeep.controls.system_access.ssh_server import (
    logins_recorded,
    no_empty_password,
    no_password_login,
    no_root_login,
)
from wardkeep.core.changes import OnHost, Step, TryLogin
from wardkeep.facts.accounts import Accounts

STRANGER = "wardkeep-drill"


@control.drilled_by
def try_forbidden_logins(accounts: Accounts) -> Iterator[Step]:
    """Root and one account of a person are tried in every forbidden way; then the attempts must be in the log.

    The key is new and nobody authorised it. Nothing is guessed: the password typed is random.
    """
    person = next((a.name for a in accounts.people() if a.uid != 0), STRANGER)
    yield TryLogin("root", "password", no_root_login.id, "Log in as root with a password")
    yield TryLogin("root", "publickey", no_root_login.id, "Log in as root with a key that nobody authorised")
    yield TryLogin("root", "none", no_empty_password.id, "Log in as root with nothing at all")
    for method in ("password", "keyboard-interactive"):
        yield TryLogin(person, method, no_password_login.id, f"Log in as {person} by {method}")
    yield TryLogin(person, "none", no_empty_password.id, f"Log in as {person} with nothing at all")
    yield OnHost(
        "Find the attempts in the host's own log",
        r"""
for wait in 1 1 1 1 1; do
  if command -v journalctl >/dev/null; then
    journalctl -q --no-pager -o cat --since '-2 min' -t sshd -t sshd-session -n 400
  fi | while read -r line; do case $line in *root*preauth* | *'Failed '*root*) echo recorded; break ;; esac; done
  for file in /var/log/auth.log /var/log/secure; do
    [ -r "$file" ] && tail -n 400 "$file" | while read -r line; do
      case $line in *sshd*root*preauth* | *sshd*'Failed '*root*) echo recorded; break ;; esac
    done
  done
  sleep "$wait"
done | head -n 1
""",
        logins_recorded.id,
        expect_text="recorded",
        timeout=30,
    )
