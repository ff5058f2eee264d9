"""What MCP clients and people call: the tools, the command line, settings.

Only this package knows ``explorer`` and ``launch`` both, and only it translates errors.
"""


def version() -> str:
    """The version that is installed, or that of a checkout that is not."""
    import importlib.metadata

    try:
        return importlib.metadata.version("fastcontext-mcp")
    except importlib.metadata.PackageNotFoundError:
        return "0.1.0"
