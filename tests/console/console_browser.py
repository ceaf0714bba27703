"""The real program in a process of its own, and a real Chromium in front of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@dataclass(frozen=True)
class Served:
    """A running `wardkeep up`: where it is, and the sign-in link it printed."""

    origin: str
    link: str
    folder: Path


PATIENCE = 180_000  # milliseconds a page or a browser may take, whatever else the machine does


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Run `wardkeep up` on this state until the end of the block."""
    path = os.pathsep.join(p for p in sys.path if p)
    env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
    command = [sys.executable, "-m", "wardkeep", "up", "--state", str(folder), "--listen"]
    # A port that was free may be taken when the program comes to it: then another one is tried.
    for last in (False, False, False, True):
        port = free_port()
        with subprocess.Popen(
            [*command, f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        ) as process:
            try:
                said, link = "", None
                assert process.stdout is not None
                for line in process.stdout:
                    said += line
                    if link := re.search(r"http://localhost:\d+/sign-in/link\?token=\S+", said):
                        break
                if link:
                    yield Served(f"http://localhost:{port}", link[0], folder)
                    return
                assert not last, said
                assert "cannot listen" in said, said
            finally:
                process.terminate()
                process.communicate(timeout=PATIENCE / 1000)


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A context of its own whose acts may take long on a busy machine."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    return context


def add_authenticator(context: BrowserContext, page: Page) -> None:
    """A virtual passkey that verifies its user without asking."""
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
    }
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def enrol_passkey(page: Page, link: str) -> None:
    """From the printed link to a person who is fully signed in."""
    page.goto(link)
    page.get_by_role("button", name="Sign in as").click()
    page.wait_for_url("**/enrol")
    page.get_by_label("What to call it").fill("Test key")
    page.get_by_role("button", name="Set up a passkey").click()
    page.wait_for_url("**/account/recovery")
