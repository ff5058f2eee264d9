"""langchain-mcp-adapters, with an agent of langchain."""

import asyncio
import sys

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI


async def main() -> None:
    """Ask once."""
    url, command, *arguments = sys.argv[1:]
    server = {"transport": "stdio", "command": command, "args": arguments}
    client = MultiServerMCPClient({"fastcontext": server})
    model = ChatOpenAI(model="stand-in", base_url=f"{url}/v1", api_key="stand-in")
    agent = create_agent(model, await client.get_tools())
    await agent.ainvoke({"messages": [("user", "Find it.")]})


asyncio.run(main())
