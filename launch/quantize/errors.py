"""What quantizing raises."""


class QuantizeError(Exception):
    """No checkpoint was made. ``str()`` says why in one sentence, ``hint`` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
