import io
import json
import logging
import sys

import pytest

from server.process import streams
from server.visible import json_text, spelled

HOSTILE = "\x9b31m \u202egnp.exe \x1b]0;title\x07 \u200b \U000e0041 \ue000 é \U0001f600"


@pytest.mark.parametrize("narrow", [False, True])
def test_json_reads_back_the_same_and_does_nothing_to_a_terminal(narrow: bool) -> None:
    value = {HOSTILE: [HOSTILE, "\udcff"], "n": 1}
    text = json_text(value, narrow=narrow)
    assert json.loads(text) == value
    assert not {"\x9b", "\u202e", "\x1b", "\x07", "\u200b", "\U000e0041"} & set(text)
    assert ("é" in text) is not narrow


def test_what_cannot_be_seen_is_spelled_and_what_can_stays() -> None:
    assert spelled(HOSTILE) == (
        r"\u009b31m \u202egnp.exe \u001b]0;title\u0007 \u200b \U000e0041 \ue000 " + "é \U0001f600"
    )


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
        logging.getLogger("x").warning("opened %s", f"{HOSTILE}\nERROR server: all is lost")
    finally:
        root.handlers[:] = before
    text = written.getvalue()
    assert text.startswith("WARNING x: opened ")
    assert "\x9b" not in text
    assert "\n    ERROR server" in text
