"""Logging for the entries: one plain line per record on stderr."""

import logging
import sys

# At DEBUG these write request headers, the API key among them.
_TALKATIVE = ("httpx", "httpcore", "httpx2", "httpcore2", "asyncio")


def log_to_stderr(level: str = "WARNING") -> None:
    """Set up logging, unless somebody has; at once where the level is given again.

    To be called before ``MCPServer`` is made, which otherwise sets up rich's boxed tracebacks.
    """
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger().setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
