"""The tools of one workspace, from a call as the model wrote it to its observation."""

from collections.abc import Callable
from typing import Any

from explorer.records import ToolCall, ToolResult
from explorer.repository.paths import PathProblem
from explorer.repository.ripgrep import RgHandle, in_thread
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import (
    ArgumentProblem,
    Arguments,
    GlobArguments,
    ReadArguments,
    parse_call,
)
from explorer.tools.glob import glob
from explorer.tools.grep import grep
from explorer.tools.limits import MIN_CHARS, ToolLimits
from explorer.tools.observation import problem
from explorer.tools.read import read
from explorer.tools.schemas import SCHEMAS


class ToolBox:
    """Read, Glob and Grep on a workspace. Calls may run side by side."""

    def __init__(self, workspace: Workspace, *, limits: ToolLimits | None = None) -> None:
        self.workspace = workspace
        """Where the tools look."""
        self.limits = limits or ToolLimits()
        """The bounds of every call."""

    @property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """Read, Glob and Grep as OpenAI function tools."""
        return SCHEMAS

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The observation of a call, at most ``max_chars`` long (but never below 200).

        Whatever the model did wrong is an observation with ``ok`` False. Cancelling ends the rg
        that runs for the call.

        Raises:
            WorkspaceError: the root was removed or replaced.
            RipgrepError: rg is missing or does not start.
        """
        room = max(MIN_CHARS, min(max_chars or self.limits.max_chars, self.limits.max_chars))
        try:
            _, arguments = parse_call(call)
        except ArgumentProblem as error:
            return problem(str(error), room)
        self.workspace.check()
        await self.workspace.files()
        try:
            return await in_thread(self._work(arguments, room))
        except PathProblem as error:
            self.workspace.check()
            return problem(str(error), room)

    def _work(self, arguments: Arguments, room: int) -> Callable[[RgHandle], ToolResult]:
        workspace, limits = self.workspace, self.limits
        if isinstance(arguments, ReadArguments):
            return lambda _: read(workspace, arguments, limits, room)
        if isinstance(arguments, GlobArguments):
            return lambda _: glob(workspace, arguments, limits, room)
        return lambda handle: grep(workspace, arguments, limits, room, handle)
