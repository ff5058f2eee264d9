"""What MCP clients and people call: the tools, the command line, settings.

Only this package knows ``explorer`` and ``launch`` both, and only it translates errors.
"""


def version() -> str:
    """The version, as in ``pyproject.toml``; reading the metadata would delay ``initialize``."""
    return "0.1.0"
