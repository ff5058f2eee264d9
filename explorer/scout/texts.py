"""How much of a file is read, and what of it is text that somebody wrote.

Long lines are data: an embedded picture, a minified bundle. Of such a line only the beginning
counts, so the file keeps its other lines and their numbers.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.repository.documents import decode, is_binary

MAX_BYTES: Final = 1 << 20
"""Only the first MiB of a file is read, as larger ones are data."""
MAX_CODE_BYTES: Final = 8 << 20
"""The same for source code and notebooks, which may be generated or hold pictures."""

CODE_SUFFIXES: Final = frozenset(
    """
    ada adb ads asm astro bash c cc cjs clj cljc cljs coffee cpp cr cs css cu cuh cxx d dart el elm
    erl ex exs f f90 fs fsx go gradle groovy h hh hpp hrl hs hxx idl inl ipp java jl js jsx kt kts
    less lisp lua m mjs mk ml mli mm mts nim nix pas php phtml pl pm proto ps1 py pyi pyx r rake rb
    rkt rs sass scala scm scss sh sol sql svelte swift tcl tf thrift ts tsx v vb vhd vue wat zig zsh
    cts tcc erb pxd
    """.split()
)

_LONG_LINE_BYTES: Final = 4_096
"""The length of a whole paragraph on one line, of some 600 words."""
_HEAD_BYTES: Final = 160
_MINIFIED_FILE_BYTES: Final = 8_192
_MINIFIED_LINE_BYTES: Final = 400
"""A file whose lines are longer on average, and have few blanks, is taken for minified."""
_PROSE_BYTES_A_BLANK: Final = 16


def most_bytes(path: str) -> int:
    """How much of the file at the path is read."""
    suffix = path.rpartition(".")[2].lower()
    return MAX_CODE_BYTES if suffix in CODE_SUFFIXES or suffix == "ipynb" else MAX_BYTES


def bytes_read(paths: Sequence[str], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How much of each of the files is read."""
    read = np.clip(sizes, 0, MAX_BYTES)
    for place in np.flatnonzero(sizes > MAX_BYTES).tolist():
        read[place] = min(int(sizes[place]), most_bytes(paths[place]))
    return read


def text_of(data: bytes) -> bytes:
    """The text in UTF-8, with the file's line numbers, its long lines cut; b"" if it is binary."""
    if is_binary(data):
        return b""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = decode(data).encode("utf-8", "replace")
    longest = _MINIFIED_LINE_BYTES if _is_minified(data) else _LONG_LINE_BYTES
    if not _may_have_line_beyond(data, longest):
        return data
    lines = data.split(b"\n")
    return b"\n".join(line if len(line) <= longest else _head(line) for line in lines)


def _is_minified(data: bytes) -> bool:
    size = len(data)
    return (
        size > _MINIFIED_FILE_BYTES
        and size > _MINIFIED_LINE_BYTES * (data.count(b"\n") + 1)
        and size > _PROSE_BYTES_A_BLANK * data.count(b" ")
    )


def _may_have_line_beyond(data: bytes, longest: int) -> bool:
    # A line of that length covers one of these pieces, wherever it begins; most pieces end at once.
    step = longest // 2
    return any(data.find(b"\n", at, at + step) < 0 for at in range(0, len(data) - step, step))


def _head(line: bytes) -> bytes:
    return line[:_HEAD_BYTES].decode("utf-8", "ignore").encode()
