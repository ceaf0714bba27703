"""The review of published flaws: what is installed where, the queue of what concerns it, and what a reviewer decides.

`inventory` keeps the index from packages to hosts, `queue` holds it against the advisories, `cases` keeps and shows what comes
of that, `acts` are a reviewer's. Everything that happens to a case is an entry of the ledger, of the kind `flaw`.
"""

from __future__ import annotations

ROW = "vulnerability_review"
KIND = "flaw"
