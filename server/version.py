"""The version, without importing anything heavy."""

import importlib.metadata


def version() -> str:
    """The version that is installed, or that of a checkout that is not."""
    try:
        return importlib.metadata.version("fastcontext-mcp")
    except importlib.metadata.PackageNotFoundError:
        return "0.1.0"
