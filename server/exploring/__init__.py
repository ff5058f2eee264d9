"""One question from its arguments to its report, and what the process keeps between questions.

Nothing here knows MCP or the command line.
"""
