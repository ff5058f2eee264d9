"""Text of others, written so that all of it is seen and none of it acts on a terminal.

A file's name, a line of code or a server's message can hold characters that move the cursor, end a
line or turn the text around them.
"""

import json
import re
import unicodedata
from typing import Any

# Control, format (direction marks too), surrogate and private-use characters.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co"})
_NOT_PLAIN = re.compile(r"[^\n\t\x20-\x7e]")


def spelled(text: str) -> str:
    """The text with invisible and direction-changing characters written as escapes.

    As in Python's source: a backslash, ``u`` and four digits. Line breaks and tabs are kept.
    """
    return _NOT_PLAIN.sub(_spelled, text)


def json_text(value: Any, *, narrow: bool = False) -> str:
    """The value as JSON in which the same characters are escapes, so that it reads back the same.

    With ``narrow``, so are all characters beyond ASCII. Half a surrogate pair, which is no
    character, becomes a question mark.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    text = text.encode(errors="replace").decode()

    def written(found: re.Match[str]) -> str:
        return json.dumps(found[0])[1:-1] if narrow or _unseen(found) else found[0]

    return _NOT_PLAIN.sub(written, text)


def _spelled(found: re.Match[str]) -> str:
    if not _unseen(found):
        return found[0]
    number = ord(found[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _unseen(found: re.Match[str]) -> bool:
    return unicodedata.category(found[0]) in UNSEEN
