"""Putting this server into the configuration of each MCP client, and taking it out again.

Only files of clients are read and written here.
"""


class ConfigError(ValueError):
    """The file is not what the client expects; the text says where."""
