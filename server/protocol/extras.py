"""What the server offers besides its tools: the prompt ``explore`` and the view of an answer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, Apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.server.mcpserver.resources.types import FunctionResource
from mcp.types import ClientCapabilities, InitializeRequestParams
from pydantic import Field

from server.protocol import descriptions

if TYPE_CHECKING:
    from explorer.records import OutlineEntry

VIEW_META: dict[str, Any] = {"ui": {"resourceUri": descriptions.VIEW_URI}}
"""Links a tool to the view, for clients that support MCP Apps; others ignore it."""


def apps() -> Apps:
    """The extension with the one page that shows an answer; made when it is first read."""
    extension = Apps()
    extension.add_resource(
        FunctionResource.from_function(
            _view,
            descriptions.VIEW_URI,
            name="answer",
            title=descriptions.VIEW_TITLE,
            mime_type=APP_MIME_TYPE,
            meta={"ui": {"prefersBorder": True}},
        )
    )
    return extension


def shows_views(client: ClientCapabilities | None) -> bool:
    """Whether a client declares MCP Apps, with whatever settings."""
    return client is not None and EXTENSION_ID in (client.extensions or {})


async def without_resources(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Middleware that names resources to clients with views only: the view is the only one.

    Claude Code, Codex, Gemini CLI and opencode otherwise give their model tools that list and read
    resources, 2,000 characters that lead nowhere.
    """
    result = await call_next(ctx)
    if ctx.method not in ("initialize", "server/discover") or not isinstance(result, dict):
        return result
    client = ctx.session.client_capabilities
    if ctx.method == "initialize":
        client = InitializeRequestParams.model_validate(ctx.params).capabilities
    if not shows_views(client):
        named = result["capabilities"]
        result["capabilities"] = {key: named[key] for key in named if key != "resources"}
    return result


async def question_as_typed(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Middleware that names no argument of the prompt to Claude Code.

    It splits what is typed at blanks, one word for each argument, and drops the rest. It also
    shows its model the whole of it, to which the prompt then refers.
    """
    result = await call_next(ctx)
    client = ctx.session.client_params
    is_split = client is not None and client.client_info.name.lower().startswith("claude-code")
    if ctx.method == "prompts/list" and is_split and isinstance(result, dict):
        result["prompts"] = [{**each, "arguments": []} for each in result["prompts"]]
    return result


def add_prompt(server: MCPServer[Any]) -> None:
    """Add the prompt that clients show as a command."""
    server.add_prompt(
        Prompt.from_function(
            explore,
            name="explore",
            title=descriptions.PROMPT_TITLE,
            description=descriptions.PROMPT_DESCRIPTION,
        )
    )


def explore(question: Annotated[str, Field(description=descriptions.PROMPT_QUESTION)] = "") -> str:
    """The prompt for a question; without one it refers to what the user typed."""
    return descriptions.PROMPT.format(question=question or descriptions.PROMPT_TYPED)


async def of_view(
    facts: Mapping[str, Any], outlines: Mapping[str, Sequence["OutlineEntry"]]
) -> dict[str, Any]:
    """What the view shows besides the facts, to be sent where no host shows it to its model."""

    def work() -> dict[str, Any]:
        from server.view.answer import extras

        return {"fastcontext": extras(facts, outlines)}

    return await anyio.to_thread.run_sync(work)


def _view() -> str:
    from server.view.page import app_page

    return app_page()
