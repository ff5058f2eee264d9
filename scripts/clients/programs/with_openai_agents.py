"""openai-agents."""

import asyncio
import sys

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from openai import AsyncOpenAI


async def main() -> None:
    """Ask once."""
    url, command, *arguments = sys.argv[1:]
    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel(
        "stand-in", AsyncOpenAI(base_url=f"{url}/v1", api_key="stand-in")
    )
    # 5 s by default, for the start and for each call.
    params = {"command": command, "args": arguments}
    async with MCPServerStdio(params, client_session_timeout_seconds=120) as server:
        agent = Agent("explorer", instructions="Find code.", model=model, mcp_servers=[server])
        await Runner.run(agent, "Find it.")


asyncio.run(main())
