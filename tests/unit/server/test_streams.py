import io
import logging
import sys

import pytest

from server.process import streams


def test_a_log_record_steers_no_terminal_and_begins_no_other_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers.clear()
    try:
        streams.log_to_stderr()
        logging.getLogger("x").warning("opened %s", "\x9b31m\u202e\nERROR server: all is lost")
    finally:
        root.handlers[:] = before
    text = written.getvalue()
    assert text.startswith("WARNING x: opened ")
    assert "\x9b" not in text
    assert "\n    ERROR server" in text
