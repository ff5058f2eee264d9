"""The exceptions that the explorer raises. The model's own faults are observations instead.

ExplorerError
  WorkspaceError          the root cannot be opened or is no longer the one that was opened
  RipgrepError            the rg binary is missing or does not run
  ReaderError             the reader's weights or onnxruntime cannot be loaded, or fail
  EngineError             the engine did not give a usable answer
    EngineUnreachable     no connection, or it broke before or while answering
    EngineTimeout         connect, read or total time ran out
    EngineRejected        an HTTP status or a body that retrying will not change
  AnswerError             the model cited no place that could be verified
"""

from explorer.records import Exploration


class ExplorerError(Exception):
    """Base of everything that this package raises on purpose.

    The text is one or two plain sentences without secrets: it may reach a model or a log.
    """

    partial: Exploration | None = None
    """What the run had cited or read when it failed, best first; None if nothing."""


class WorkspaceError(ExplorerError):
    """The repository root cannot be opened, or was replaced while it was open."""


class RipgrepError(ExplorerError):
    """The rg binary is missing or cannot be started."""


class ReaderError(ExplorerError):
    """The reader cannot be loaded or does not run; the scout answers without it."""


class EngineError(ExplorerError):
    """The engine did not give a usable answer."""


class EngineUnreachable(EngineError):
    """No connection to the engine, or the connection broke."""


class EngineTimeout(EngineError):
    """The engine did not answer in time."""


class EngineRejected(EngineError):
    """The engine refused the request or answered with something other than a completion."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AnswerError(ExplorerError):
    """The model finished without a single citation that could be verified."""


_OVERFLOW_PHRASES = (
    "context length",
    "context size",
    "context window",
    "max_model_len",
    "maximum context",
    "n_ctx",
    "too long",
    "too many tokens",
)


def is_overflow(error: EngineRejected) -> bool:
    """Whether a request was refused for its length, going by the words of vLLM and llama.cpp."""
    text = str(error).casefold()
    return error.status in (400, 413, 422) and any(word in text for word in _OVERFLOW_PHRASES)
