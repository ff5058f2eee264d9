"""What the engine's parts raise.

LaunchError
  CannotRun           this machine cannot serve the model; nothing was tried
  EngineStartFailed   vLLM ended, or was ended, before it was ready
  EngineNotReady      the engine is loading, restarting or asleep, and the wait is over
  QuantizeError       no NVFP4 checkpoint was made
  CheckpointError     a checkpoint cannot be read at all
"""


class LaunchError(Exception):
    """Base. ``str()`` says what happened in one sentence, ``hint`` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CannotRun(LaunchError):
    """Nothing that is installed here can serve the model."""


class EngineStartFailed(LaunchError):
    """vLLM did not become ready."""


class EngineNotReady(LaunchError):
    """The engine cannot answer yet. ``ready_in_s`` is a guess from the last start, or None."""

    def __init__(self, message: str, hint: str = "", *, ready_in_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.ready_in_s = ready_in_s


class QuantizeError(LaunchError):
    """No NVFP4 checkpoint was made."""


class CheckpointError(LaunchError):
    """The checkpoint cannot be read at all."""
