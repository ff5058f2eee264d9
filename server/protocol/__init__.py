"""MCP: tools, prompt and view over stdio and HTTP.

Only translation between the SDK and ``server.exploring``; no command is imported.
"""
