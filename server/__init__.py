"""What MCP clients and people call: the tools, the command line, settings."""
