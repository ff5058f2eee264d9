"""Putting this server into the configuration of each MCP client, and taking it out again."""
