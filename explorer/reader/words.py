"""The reader's tokens: WordPiece over the words of prose and code, without most punctuation.

The vocabulary is that of BERT, uncased. Names are split into their words first, since the
vocabulary has words and no names: ``getCurrentContext`` and ``get_current_context`` are both
"get current context". Brackets, quotes, commas and dots are left out: they are half of the tokens
of code and say nothing about what it is for.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

QUESTION_TOKENS: Final = 96
"""The most tokens of a question that are read, in training and in use."""
PASSAGE_TOKENS: Final = 192
CLS: Final = 101
SEP: Final = 102
_UNKNOWN: Final = 100
_WORD: Final = re.compile(
    r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_]+|[=+\-*/<>!&|%^~?@$#]+"
)
_LONGEST: Final = 40
"""A longer word is data, not a word; it becomes the token for unknown words."""
_MOST_KNOWN: Final = 100_000


class Vocabulary:
    """The tokens of texts; remembers the words that it has seen."""

    def __init__(self, pieces: Sequence[str]) -> None:
        """``pieces`` are the vocabulary's, by their number; those inside words begin with ##."""
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        self._known: dict[str, tuple[int, ...]] = {}

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """The vocabulary in a file with one piece a line.

        Raises:
            OSError: the file cannot be read.
        """
        return cls(path.read_text(encoding="utf-8").splitlines())

    def tokens(self, text: str, most: int) -> list[int]:
        """The first ``most`` tokens of the text."""
        found: list[int] = []
        for match in _WORD.finditer(text):
            found += self._of(match[0])
            if len(found) >= most:
                return found[:most]
        return found

    def _of(self, word: str) -> tuple[int, ...]:
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[word] = tuple(self._pieces(word))
        return known

    def _pieces(self, word: str) -> Iterator[int]:
        plain = unicodedata.normalize("NFD", word.lower())
        plain = "".join(each for each in plain if unicodedata.category(each) != "Mn")
        if not plain[:1].isalnum():
            # A rule of a comment or an operator: each sign once.
            for sign in dict.fromkeys(plain):
                yield self._numbers.get(sign, _UNKNOWN)
            return
        if len(plain) > _LONGEST:
            yield _UNKNOWN
            return
        pieces: list[int] = []
        begin = 0
        while begin < len(plain):
            end = len(plain)
            mark = "##" if begin else ""
            while end > begin and mark + plain[begin:end] not in self._numbers:
                end -= 1
            if end == begin:
                yield _UNKNOWN
                return
            pieces.append(self._numbers[mark + plain[begin:end]])
            begin = end
        yield from pieces
