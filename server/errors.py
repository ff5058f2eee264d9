"""What a caller can put right: every error here carries a hint that says how.

ServerError
  SettingsError       a setting is unknown or does not fit
  RepositoryError     no directory may be explored for this call
  ExplorationFailed   no explorer could answer
  UsageError          an argument cannot be used
"""


class ServerError(Exception):
    """Base. ``str()`` is what happened; both texts may reach a model or a log, without secrets."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def text(self) -> str:
        """Both texts, for a reader who sees only one."""
        return f"{self}\nhint: {self.hint}"


class SettingsError(ServerError):
    """A setting is unknown, does not fit, or its file cannot be read."""


class RepositoryError(ServerError):
    """No directory may be explored for this call."""


class ExplorationFailed(ServerError):
    """No explorer could answer."""


class UsageError(ServerError):
    """An argument cannot be used."""
