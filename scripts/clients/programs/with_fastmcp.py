"""fastmcp, whose client has no model: what it gets is passed on as a program would do it."""

import asyncio
import json
import sys
import urllib.request

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main() -> None:
    """Ask once."""
    url, command, *arguments = sys.argv[1:]
    async with Client(StdioTransport(command, arguments)) as client:
        tools = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": getattr(tool, "input_schema", None) or tool.inputSchema,
                },
            }
            for tool in await client.list_tools()
        ]
        result = await client.call_tool(
            "explore_repository",
            {"query": "how is the backoff between connection retries computed?"},
        )
        text = "\n".join(block.text for block in result.content)
        call = {"id": "1", "type": "function", "function": {"name": "explore_repository"}}
        messages = [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "content": text},
        ]
        asked = {"model": "stand-in", "tools": tools, "messages": messages}
        request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(asked).encode())
        await asyncio.to_thread(urllib.request.urlopen, request)


asyncio.run(main())
