"""What MCP clients and people call: the tools, the command line, settings.

Only this package knows ``explorer`` and ``launch`` both, and only it translates errors.
"""
