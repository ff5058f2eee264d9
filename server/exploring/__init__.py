"""Takes one question from its arguments to its report, and keeps what later questions need.

Nothing here knows MCP or the command line.
"""
