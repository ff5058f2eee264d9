"""Putting this server into the configuration of each MCP client, and taking it out again."""


class ConfigError(ValueError):
    """The file is not what the client expects; the text says where."""
