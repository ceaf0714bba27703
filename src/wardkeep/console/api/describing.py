"""The API described: its OpenAPI document, and a page for people made from it (no third-party viewer)."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from wardkeep import __version__
from wardkeep.console.api import acting, deciding, reading
from wardkeep.console.auth.bearer import Caller, identify
from wardkeep.console.auth.gate import Anyone
from wardkeep.console.render import answer, json_answer

router = APIRouter(include_in_schema=False)
PROBLEM = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}},
    "required": ["title", "status", "detail"],
}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of /api/v1. Every refusal is problem+json (RFC 9457) with one line in `detail`."""
    made = get_openapi(
        title="Wardkeep",
        version=__version__,
        description="Read the matrix, findings, hosts and the ledger; start checks; waive; administer.",
        routes=[*reading.router.routes, *acting.router.routes, *deciding.router.routes],
    )
    made["components"]["schemas"]["Problem"] = PROBLEM
    refusal = {
        "description": "Refused, with one line that says why",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in made["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["4XX"] = refusal
    return made


@router.get("/api/v1/openapi.json")
def openapi(request: Request, caller: Annotated[Caller, Depends(identify)]) -> Response:
    return json_answer(document())


@router.get("/api/v1/docs")
def describe(request: Request, visitor: Anyone) -> Response:
    routes = [
        {
            "method": method.upper(),
            "path": path,
            "says": operation.get("description", "").strip(),
            "parameters": [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"],
            "tag": operation["tags"][0],
        }
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    ]
    return answer(request, visitor, "api.html", {}, routes=routes)
