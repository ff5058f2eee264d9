"""One spelling for questions and source text: what looks the same to a reader becomes the same.

``plain`` replaces typographic quotes, dashes, blanks and compatibility forms by what ASCII has, and
composes decomposed letters; ``apart`` then ends words where readers see them end: at symbols beyond
ASCII, and where a script without spaces begins or ends, whose runs become pairs of characters. The
terms are those of ``folded`` text, in which letters beyond ASCII have no case. Text that is all
ASCII stays as it is, byte for byte: the ranking's weights were trained on such text.
"""

import re
import unicodedata
from functools import cache
from typing import Final

_REPLACED: Final = {
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\u301f", '"'),
    **dict.fromkeys("\u300a\u300b\u300c\u300d\u300e\u300f\uff62\uff63", '"'),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u2032\u00b4", "'"),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u3002\uff61", "."),
    "\u3001": ",",
    **dict.fromkeys("\u0085\u2028\u2029", "\n"),
    # Invisible, and between two letters no end of a word: soft hyphen, joiners, directions,
    # variation selectors.
    **dict.fromkeys(
        "\u00ad\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\ufe0e\ufe0f"
    ),
    **dict.fromkeys("\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"),
}
_TABLE: Final = str.maketrans(_REPLACED)
_SOFT_BREAK: Final = re.compile("(?<=[_./\\\\])\u200b|\u200b(?=[_./\\\\])")
"""A zero-width blank where a page lets a long name break; anywhere else it is a blank."""
_SYMBOL: Final = re.compile(r"[^\w\x00-\x7f]")
# Sets as large as this take milliseconds to compile, so the patterns are made when text has them.
_SPACELESS_CLASS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3131-\u318e\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that write no blanks between words, and Hangul, whose words take endings."""


@cache
def _seam() -> re.Pattern[str]:
    return re.compile(
        f"(?<=[{_SPACELESS_CLASS}])(?=[0-9A-Za-z_./\\\\~])"
        f"|(?<=[0-9A-Za-z_])(?=[{_SPACELESS_CLASS}])"
    )


@cache
def _spaceless() -> re.Pattern[str]:
    return re.compile(f"[{_SPACELESS_CLASS}]+")


@cache
def _cased_word() -> re.Pattern[str]:
    # Beyond these ranges no letter has case.
    return re.compile(
        r"(?<![0-9A-Za-z_])[0-9A-Za-z_]*+[\x80-\u2dff\ua640-\uabff\U00010400-\U0001e943]"
        r"[0-9A-Za-z_\x80-\U0010ffff]*+"
    )


_MOST_GROWTH: Final = 2.5
"""Pairs of three-byte characters take 7/3 of the space. A line that would grow more is left as it
is, so that no file can grow without bounds: one character may decompose into eighteen."""


def plain(text: str) -> str:
    """The text with quotes, dashes, blanks and wide forms as ASCII has them, letters composed."""
    if text.isascii():
        return text
    text = _SOFT_BREAK.sub("", text).replace("\u200b", " ").translate(_TABLE)
    return unicodedata.normalize("NFKC", text)


def seamed(text: str) -> str:
    """Plain text with a blank wherever a name or a number touches a script without spaces."""
    return text if text.isascii() else _seam().sub(" ", text)


def apart(text: str) -> str:
    """Plain text with a blank for each symbol beyond ASCII, and runs without spaces as pairs."""
    if text.isascii():
        return text
    return _spaceless().sub(_pairs, _SYMBOL.sub(_mark_or_blank, text))


def folded(text: str) -> str:
    """Text that is ``apart``, its words with letters beyond ASCII in small letters.

    A capital that begins a part of such a word (``getÜbersicht``) has an underscore before it.
    """
    return text if text.isascii() else _cased_word().sub(_small, text)


def fold(data: bytes) -> bytes:
    """The UTF-8 text with its words as terms are made of them; line ends stay where they are."""
    if data.isascii():
        return data
    return b"\n".join(line if line.isascii() else _folded_line(line) for line in data.split(b"\n"))


def _folded_line(line: bytes) -> bytes:
    text = plain(line.decode("utf-8", "replace")).replace("\n", " ")
    result = folded(apart(text)).encode("utf-8", "replace")
    return result if len(result) <= _MOST_GROWTH * len(line) else line


def _mark_or_blank(symbol: re.Match[str]) -> str:
    """A combining mark belongs to its letter; what else is no letter or digit ends a word."""
    return symbol[0] if unicodedata.category(symbol[0]).startswith("M") else " "


def _pairs(run: re.Match[str]) -> str:
    text = run[0]
    pairs = [text[at : at + 2] for at in range(len(text) - 1)]
    return f" {' '.join(pairs) or text} "


def _small(word: re.Match[str]) -> str:
    text, pieces, before = word[0], [], ""
    for at, char in enumerate(text):
        # As for ASCII in ``tokens.scan``.
        if char.isupper() and before.isalnum():
            if not before.isupper() or text[at + 1 : at + 2].islower():
                pieces.append("_")
        pieces.append(char)
        before = char
    # The small letter of "I" in Turkish; Unicode folds it to nothing else.
    return "".join(pieces).casefold().replace("\u0131", "i")
