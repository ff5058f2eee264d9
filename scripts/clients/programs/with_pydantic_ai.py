"""pydantic-ai."""

import asyncio
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def main() -> None:
    """Ask once."""
    url, command, *arguments = sys.argv[1:]
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="stand-in")
    server = MCPToolset(StdioTransport(command, arguments))
    agent = Agent(OpenAIChatModel("stand-in", provider=provider), toolsets=[server])
    async with agent:
        await agent.run("Find it.")


asyncio.run(main())
