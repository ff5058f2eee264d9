"""smolagents."""

import sys

from mcp import StdioServerParameters
from smolagents import MCPClient, OpenAIServerModel, ToolCallingAgent

url, command, *arguments = sys.argv[1:]
model = OpenAIServerModel("stand-in", api_base=f"{url}/v1", api_key="stand-in")
server = StdioServerParameters(command=command, args=arguments)
with MCPClient(server, structured_output=False) as tools:
    # The stand-in never calls the tool that would end the run.
    ToolCallingAgent(tools=tools, model=model, max_steps=2).run("Find it.")
