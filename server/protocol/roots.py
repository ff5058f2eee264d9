"""The client's roots, in both protocol eras: those that are directories of this machine."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import ListRoots
from mcp.shared.exceptions import MCPError
from mcp.types import ListRootsRequest, ListRootsResult, Root
from pydantic import ValidationError, field_validator

logger = logging.getLogger(__name__)

ROOTS_WAIT_S = 3.0
"""How long a client may take to name its roots."""
_FIRST_INPUT_REQUIRED = "2026-07-28"


class _FileRoots(ListRootsResult):
    """What a client answers, of which the SDK would refuse all for one root of another scheme."""

    @field_validator("roots", mode="before")
    @classmethod
    def _files(cls, roots: Any) -> Any:
        return _only_files(roots)


async def client_roots(path: str, ctx: Context[Any, Any]) -> ListRootsResult | ListRoots:
    """The client's roots, empty if it has none, does not answer, or none are needed."""
    nothing = ListRootsResult(roots=[])
    capabilities = ctx.client_capabilities
    absolute = path.strip().startswith(("/", "~", "file:"))
    if absolute or capabilities is None or capabilities.roots is None:
        return nothing
    if (ctx.protocol_version or "") >= _FIRST_INPUT_REQUIRED:
        return ListRoots()
    try:
        with anyio.fail_after(ROOTS_WAIT_S):
            named: ListRootsResult = await ctx.session.send_request(ListRootsRequest(), _FileRoots)
            return named
    except (MCPError, TimeoutError, ValidationError) as error:
        logger.info("the client did not name its roots: %s", error)
        return nothing


async def only_files(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: since 2026-07-28 the roots come with the call, which the SDK would refuse."""
    answers = (ctx.params or {}).get("inputResponses")
    if ctx.method == "tools/call" and isinstance(answers, Mapping):
        kept = {key: _without_others(answer) for key, answer in answers.items()}
        ctx = dataclasses.replace(ctx, params={**(ctx.params or {}), "inputResponses": kept})
    return await call_next(ctx)


def _without_others(answer: Any) -> Any:
    if not isinstance(answer, Mapping) or "roots" not in answer:
        return answer
    return {**answer, "roots": _only_files(answer["roots"])}


def _only_files(roots: Any) -> Any:
    """The roots that the SDK accepts, with a ``file`` URI; unchanged if it is no list."""
    return [root for root in roots if _is_file(root)] if isinstance(roots, list) else roots


def _is_file(root: Any) -> bool:
    try:
        Root.model_validate(root)
    except ValidationError:
        logger.info("a root of the client is skipped: %r", root)
        return False
    return True
