"""Every page, over ASGI: who may see it, its JSON twin, and that what hosts say is text and nothing else."""

from __future__ import annotations

import httpx
import pytest

PAGES = {
    "/": "operator developer auditor",
    "/?order=matrix": "operator developer auditor",
    "/rows/firewall": "operator developer auditor",
    "/findings": "operator developer auditor",
    "/findings?verdict=fail,unknown&q=sshd": "operator developer auditor",
    "/hosts": "operator developer auditor",
    "/hosts/db-1": "operator developer auditor",
    "/account": "operator developer auditor",
    "/account/recovery": "operator developer auditor",
    "/enrol": "operator developer auditor",
    "/ledger": "operator auditor",
    "/ledger/3": "operator auditor",
    "/ledger/3/blobs/0": "operator auditor",
    "/settings": "operator auditor",
    "/settings/users": "operator auditor",
    "/settings/tokens": "operator auditor",
}


@pytest.mark.parametrize("role", ["operator", "developer", "auditor"])
async def test_every_page_for_every_role(client: httpx.AsyncClient, sign_in, role: str) -> None:
    sign_in("first", "operator")
    sign_in("somebody", role)
    for path, roles in PAGES.items():
        answer = await client.get(path)
        assert answer.status_code == (200 if role in roles else 403), (path, role, answer.text[:300])
        assert "<h1>" in answer.text
