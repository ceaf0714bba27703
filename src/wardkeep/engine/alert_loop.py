"""The thread of a serving Wardkeep that tells people: apart from the rest, since a dead mail server answers slowly."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from wardkeep.core.errors import WardkeepError
from wardkeep.engine.alerts import Send, alert
from wardkeep.engine.channels import send
from wardkeep.engine.flaw_review.sending import digest_if_due
from wardkeep.engine.platform import Platform

PAUSE = 10.0  # seconds between rounds
_log = logging.getLogger("wardkeep.alerts")


@dataclass
class AlertLoop:
    """`start`, then `stop`. A round that fails is tried again at the next; nothing is lost meanwhile."""

    platform: Platform
    pause: float = PAUSE
    send: Send = send
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="wardkeep-alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(30)

    def _run(self) -> None:
        took = 0.0
        # With a million findings a round has much to compare: it never takes more than a tenth of the time.
        while not self._stop.wait(max(self.pause, 9 * took)):
            began = time.monotonic()
            try:
                digest_if_due(self.platform)
                alert(self.platform, send=self.send)
            except WardkeepError as e:
                _log.error("a round of alerts failed: %s", e.line())
            # A defect here must not end all telling; the log has its kind, the next round tries again.
            except Exception as e:  # noqa: BLE001
                _log.error("a round of alerts failed: %s", type(e).__name__)
            took = time.monotonic() - began
