"""The MCP server: two tools over an ``ExplorationService``.

Importing this has no effect, and neither importing nor ``initialize`` loads what only an
exploration needs: clients give up on servers that start slowly.
"""

import importlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import anyio
import anyio.abc
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.resolve import Resolve
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ListRootsResult, TextContent, ToolAnnotations
from pydantic import Field

from server import version
from server.errors import ServerError
from server.process import lifecycle
from server.process.streams import log_to_stderr, make_ready
from server.protocol import descriptions, extras, fallback, installation, stdio
from server.protocol.roots import client_roots, only_files

# Settings, the loop and numpy take too long to import before `initialize` is answered.
if TYPE_CHECKING:
    from explorer.engines.protocol import Engine
    from server.exploring.progress import Say
    from server.exploring.report import Report
    from server.exploring.service import ExplorationService
    from server.settings import Settings

logger = logging.getLogger(__name__)

EngineFactory = Callable[["Settings"], "Engine"]

# Claude Code saves a longer result to a file and shows the model the first 2 kB of it.
_RESULT_CHARS = 50_000

PREPARE_AFTER_S = 1.0
"""Between the handshake and loading what a question needs; clients list the tools in that time."""


@dataclass(slots=True)
class Backend:
    """What the tools work with; the service is made at the first call."""

    load: Callable[[], "Settings"]
    engine_factory: EngineFactory | None
    stack: AsyncExitStack
    group: anyio.abc.TaskGroup
    """Runs what goes on between calls."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    made: "ExplorationService | None" = None
    is_prepared: bool = False

    def prepare(self) -> None:
        """Load what a question needs, in a moment and in a thread; once."""
        if not self.is_prepared:
            self.is_prepared = True
            self.group.start_soon(self._prepare)

    async def _prepare(self) -> None:
        await anyio.sleep(PREPARE_AFTER_S)
        await anyio.to_thread.run_sync(installation.preload, abandon_on_cancel=True)

    async def service(self) -> "ExplorationService":
        """The one service of this process.

        Raises:
            SettingsError: the settings are wrong; the next call loads them again.
        """
        async with self.lock:
            if self.made is None:
                self.made = await self.stack.enter_async_context(
                    await anyio.to_thread.run_sync(self._make)
                )
                self.made.keep_warm(self.group)
            return self.made

    def _make(self) -> "ExplorationService":
        from server.exploring.engines import endpoint_client
        from server.exploring.service import ExplorationService
        from server.process.streams import give_memory_back

        give_memory_back()
        settings = self.load()
        log_to_stderr(settings.log_level)
        # In this thread, so that messages are answered while numpy and httpx are loaded.
        model = ("explorer.engines.http", "explorer.loop") if settings.endpoint else ()
        for name in ("explorer.scout.scout", "watchfiles", *model):
            importlib.import_module(name)
        return ExplorationService(settings, engine_factory=self.engine_factory or endpoint_client)


class ExplorerServer(MCPServer[Backend]):
    """An ``MCPServer`` that ends with its client and accepts arguments as agents write them."""

    load_settings: Callable[[], "Settings"]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Backend, Any] | None = None
    ) -> Any:
        """Call a tool by name; the arguments of ``explore_repository`` are corrected first."""
        if name == "explore_repository":
            arguments = tolerant(arguments)
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            problem = installation.problem(error)
            if not problem:
                raise
            known = "" if isinstance(error, UnexpectedToolError) else f"{error}\n"
            raise ToolError(known + problem) from error

    def run(self, transport: str = "stdio", **options: Any) -> NoReturn:
        """Serve until the client disconnects or a signal comes, then leave the process.

        Raises:
            ValueError: the transport is neither ``stdio`` nor ``streamable-http``.
        """
        make_ready()
        if transport == "stdio":
            if sys.__stdin__ is None or sys.__stdout__ is None:
                closed = "stdin" if sys.__stdin__ is None else "stdout"
                logger.error("%s is closed; hint: start with stdin and stdout open", closed)
                lifecycle.leave(1)
            if sys.stdin.isatty():
                sys.stderr.write("serving MCP on stdin and stdout for a client; Ctrl-C ends it\n")
            wire = stdio.claim()
            lifecycle.run_to_end(partial(self._serve_stdio, wire), watch_parent=True)
        if transport == "streamable-http":
            from server.protocol.http_server import run_http

            run_http(self, self.load_settings(), **options)
        raise ValueError(f"unknown transport {transport!r}; hint: stdio or streamable-http")

    async def _serve_stdio(self, wire: stdio.Wire) -> None:
        # The SDK's own run_stdio_async puts stdout back when it ends; this one never does.
        server = self._lowlevel_server
        options = server.create_initialization_options()

        async def run(messages: Any, answers: Any) -> None:
            await server.run(messages, answers, options)

        async with stdio.streams(wire) as (read, write):
            try:
                await fallback.serve(run, read, write)
            except Exception:
                # A client that has stopped reading would block the writer for ever.
                lifecycle.leave_soon(1)
                raise


def build_server(
    settings: "Settings | Callable[[], Settings] | None" = None,
    *,
    engine_factory: EngineFactory | None = None,
) -> ExplorerServer:
    """A server with its two tools. If no settings are given, they are loaded at the first call.

    ``engine_factory`` replaces the HTTP client of the configured endpoint.
    """
    load = _loader(settings)

    @asynccontextmanager
    async def lifespan(_server: MCPServer[Backend]) -> AsyncIterator[Backend]:
        async with AsyncExitStack() as stack, anyio.create_task_group() as group:
            yield Backend(load, engine_factory, stack, group)
            group.cancel_scope.cancel()

    log_to_stderr()
    server = ExplorerServer(
        "fastcontext",
        tools=_tools(),
        title="FastContext",
        description="Finds the code that a question is about",
        instructions=descriptions.INSTRUCTIONS,
        version=version(),
        lifespan=lifespan,
        log_level="WARNING",
        extensions=[extras.apps()],
        middleware=[_prepare, extras.without_resources, extras.question_as_typed, only_files],
    )
    server.load_settings = load
    extras.add_prompt(server)
    return server


async def _prepare(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    result = await call_next(ctx)
    ctx.lifespan_context.prepare()
    return result


def _loader(
    settings: "Settings | Callable[[], Settings] | None",
) -> Callable[[], "Settings"]:
    if settings is None:
        return _load_settings
    if callable(settings):
        return settings
    return lambda: settings


def _load_settings() -> "Settings":
    from server.settings import load_settings

    return load_settings()


def _tools() -> list[Tool]:
    hints = ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    explore = Tool.from_function(
        explore_repository,
        title=descriptions.EXPLORE_TITLE,
        description=descriptions.EXPLORE_DESCRIPTION,
        annotations=hints,
        meta={
            # Claude Code otherwise names the tool in the first turn without its schema.
            "anthropic/alwaysLoad": True,
            "anthropic/maxResultSizeChars": _RESULT_CHARS,
            **extras.VIEW_META,
        },
        structured_output=False,
    )
    status = Tool.from_function(
        engine_status,
        title=descriptions.STATUS_TITLE,
        description=descriptions.STATUS_DESCRIPTION,
        annotations=hints,
        structured_output=False,
    )
    for tool in (explore, status):
        tool.parameters = _smallest(tool.parameters)
    return [explore, status]


def _smallest(schema: dict[str, Any]) -> dict[str, Any]:
    """A flat schema without titles, and without defaults, which strict clients refuse.

    smolagents refuses calls that leave out an argument, unless that is marked as ``nullable``.
    """
    required = schema.get("required", ())
    properties: dict[str, Any] = {
        name: {key: each[key] for key in ("type", "description")}
        | ({} if name in required else {"nullable": True})
        for name, each in schema["properties"].items()
    }
    slim = {"type": "object", "properties": properties}
    return slim | {"required": required} if required else slim


async def explore_repository(
    query: Annotated[str, Field(description=descriptions.QUERY)],
    ctx: Context[Backend, Any],
    roots: Annotated[ListRootsResult, Resolve(client_roots)],
    path: Annotated[str, Field(description=descriptions.PATH)] = "",
    max_turns: Annotated[int, Field(description=descriptions.MAX_TURNS)] = 0,
    max_citations: Annotated[int, Field(description=descriptions.MAX_CITATIONS)] = 0,
    max_bytes: Annotated[int, Field(description=descriptions.MAX_BYTES)] = 0,
    code: Annotated[bool, Field(description=descriptions.CODE)] = True,
    include_hidden: Annotated[bool, Field(description=descriptions.INCLUDE_HIDDEN)] = False,
) -> CallToolResult:
    """The places that answer the query, as Markdown; clients that show a view get an object too.

    Other clients get the text alone: several show their model the object instead, or both.

    Raises:
        ToolError: nothing could be explored; the text says what to do.
    """
    service = await _service(ctx)
    shows_view = extras.shows_views(ctx.client_capabilities)
    from server.exploring.progress import reporting
    from server.exploring.question import MIN_ANSWER_BYTES, make_question
    from server.exploring.report import for_client

    async def work(say: "Say") -> "Report":
        ask = make_question(
            service.settings,
            query,
            path=path,
            client_roots=[str(root.uri) for root in roots.roots],
            max_turns=max_turns,
            max_citations=max_citations,
            max_bytes=max_bytes,
            include_hidden=include_hidden,
            code=code,
            outlines=shows_view,
        )
        return await service.explore(ask, say)

    try:
        report = await reporting(partial(_send_progress, ctx), work)
    except ServerError as error:
        raise ToolError(error.text()) from error
    text, facts = for_client(
        report, max(MIN_ANSWER_BYTES, max_bytes or service.settings.answer_bytes)
    )
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=facts if shows_view else None,
        _meta=await extras.of_view(facts, report.outlines) if shows_view else None,
    )


async def engine_status(ctx: Context[Backend, Any]) -> CallToolResult:
    """Which explorer will answer and whether it is ready.

    Raises:
        ToolError: the settings cannot be used; the text says what to do.
    """
    service = await _service(ctx)
    try:
        status = await service.status()
    except ServerError as error:
        raise ToolError(error.text()) from error
    return CallToolResult(content=[TextContent(type="text", text=status.text())])


async def _service(ctx: Context[Backend, Any]) -> "ExplorationService":
    try:
        return await ctx.request_context.lifespan_context.service()
    except ServerError as error:
        logger.error("%s", error.text())
        raise ToolError(error.text()) from error


async def _send_progress(ctx: Context[Backend, Any], elapsed_s: float, message: str) -> None:
    await ctx.report_progress(elapsed_s, None, message)


_SAME = {
    "query": ("question", "prompt", "task", "q", "text", "description"),
    "path": ("repo", "repository", "repo_path", "repository_path", "root", "directory", "dir"),
    "max_turns": ("maxturns", "turns"),
    "max_citations": ("maxcitations", "citations", "limit", "max_results"),
    "max_bytes": ("maxbytes",),
    "code": ("show_code", "showcode"),
    "include_hidden": ("includehidden", "hidden"),
}
_NAMES = {other: name for name, others in _SAME.items() for other in (name, *others)}
_HIGHEST = {"max_turns": 64, "max_citations": 50, "max_bytes": 20_000}
_TRUE = ("true", "yes", "1", "on")


def tolerant(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``explore_repository`` with the right names and types.

    If an argument is given under several names, its exact name wins, then the first one given.
    """
    found: dict[str, Any] = {}
    for given in sorted(arguments, key=lambda name: name not in _SAME):
        name = _NAMES.get(given.lower().replace("-", "_"))
        if name is not None and name not in found and arguments[given] is not None:
            found[name] = arguments[given]
    taken: dict[str, Any] = {
        "query": _text(found.get("query", "")),
        "path": _text(found.get("path", "")),
        "code": _flag(found.get("code", True)),
        "include_hidden": _flag(found.get("include_hidden", False)),
    }
    for name, highest in _HIGHEST.items():
        taken[name] = _number(found.get(name, 0), highest)
    return taken


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(_text(item) for item in value)
    return value if isinstance(value, str) else str(value)


def _number(value: Any, highest: int) -> int:
    """A whole number from 0 to ``highest``; 0, the default, for what is not a number."""
    if isinstance(value, bool):
        return 0
    try:
        return int(min(float(highest), max(0.0, float(value))))
    except OverflowError:
        return highest if value > 0 else 0
    except (TypeError, ValueError):
        return 0


def _flag(value: Any) -> bool:
    return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)
