import json

import pytest

from explorer.visible import json_text, spelled

HOSTILE = "\x9b31m \u202egnp.exe \x1b]0;title\x07 \u200b \U000e0041 \ue000 é \U0001f600"


@pytest.mark.parametrize("narrow", [False, True])
def test_json_reads_back_the_same_and_does_nothing_to_a_terminal(narrow: bool) -> None:
    value = {HOSTILE: [HOSTILE, "half ?"], "n": 1}
    text = json_text({HOSTILE: [HOSTILE, "half \udcff"], "n": 1}, narrow=narrow)
    assert json.loads(text) == value
    assert not {"\x9b", "\u202e", "\x1b", "\x07", "\u200b", "\U000e0041"} & set(text)
    assert ("é" in text) is not narrow


def test_what_cannot_be_seen_is_spelled_and_what_can_stays() -> None:
    assert spelled(HOSTILE) == (
        r"\u009b31m \u202egnp.exe \u001b]0;title\u0007 \u200b \U000e0041 \ue000 " + "é \U0001f600"
    )
