"""MCP: the tools, the prompt and the view, over stdio and HTTP.

Only translates between the SDK and ``server.exploring``; imports no command.
"""
