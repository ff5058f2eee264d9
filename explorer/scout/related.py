"""Words of the code that stand for words of the question: related forms, abbreviations, synonyms.

A person asks how "parameters are combined"; the code says ``_merge_queryparams``. Stems alone do
not bring the two together. Only the words that the candidate files have are looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np

from explorer.scout.query import Query
from explorer.scout.scanned import Scanned
from explorer.scout.tokens import Floats, Hashes, distinct, stems_of

_RELATED, _INSIDE, _SYNONYM = 0.7, 0.6, 0.4
"""How much a related form, a word that the question's word begins or ends, a synonym count."""
_LEAST_SHARED: Final = 4
_SHARED: Final = 0.6
"""The share of the longer word that two related forms begin with."""
_LEAST_INSIDE: Final = 4

_SYNONYMS: Final = """
remove delete drop discard evict prune purge clear unset
create make new build construct generate produce
read load parse fetch
write save store dump persist
send emit dispatch publish post
receive recv accept
wait sleep delay block
retry attempt again backoff
error exception failure fail raise throw
check validate verify ensure test
compare equal match
choose select pick decide prefer
find search lookup locate resolve
change update modify edit patch
notice watch detect observe monitor
close shutdown stop terminate end finish
start begin launch run boot
limit max maximum cap bound
size length count len
folder directory dir
cache memo remember
encode serialize format
decode deserialize parse
merge combine join concat
split divide break chunk
convert transform translate normalize
small shrink reduce minimize narrow collapse
unique duplicate dedupe distinct
order sort rank
expire timeout deadline
reuse pool idle recycle
print show display render report
compute calculate evaluate
call invoke execute
register add attach subscribe
unregister detach unsubscribe
skip ignore exclude filter
allow permit grant enable
deny refuse reject forbid disable
replace substitute swap
copy clone duplicate
move rename shift
guess infer
queue enqueue push
color colour
kill terminate murder abort
alive heartbeat keepalive ping
reload restart refresh
clean sanitize secure escape normalize
unknown missing absent
increase grow increment
old stale expire outdated
big large huge max size
compress deflate gzip zip
decompress inflate gunzip unzip
login auth authenticate signin
hash digest checksum fingerprint
encrypt cipher seal
decrypt decipher unseal
throttle backoff slow rate
pause suspend hold
resume continue unpause
undo rollback revert restore
lock acquire mutex
unlock release free
redraw refresh repaint rerender
collect gather reap
default fallback
shorten truncate trim crop ellipsis
mask obfuscate hide redact
randomize shuffle random
count tally number
upgrade migrate
repeat duplicate again
answer reply respond response
forward proxy relay delegate
listen bind accept
estimate guess predict
visit traverse walk
301 302 307 308 redirect
206 416 range
304 modified etag
400 bad invalid
401 unauthorized authenticate
403 forbidden
404 missing
405 method
413 large limit
429 throttle limit retry
500 internal error
503 unavailable
sigchld chld child
sighup hup
sigint interrupt
sigkill kill
sigquit quit
sigterm term terminate
sigusr1 usr1
sigusr2 usr2
sigwinch winch
"""
_ABBREVIATED: Final = """
arg argument
attr attribute
auth authentication authorization
cfg config configuration
conn connection
ctx context
db database
dir directory
env environment
err error
exc exception
fn function
func function
id identifier
img image
impl implementation
init initialize
lib library
max maximum
min minimum
msg message
num number
obj object
param parameter
pkg package
prev previous
prop property
ref reference
repo repository
req request requirement
res response result
resp response
spec specification
str string
tmp temporary
val value
var variable
"""


@cache
def _groups(text: str) -> dict[bytes, frozenset[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    # Each word has one stem; one look at all of them is faster than hundreds of short ones.
    every = iter(stems_of(text))
    for line in text.strip().splitlines():
        stems = [next(every)[0] for _ in line.split()]
        for stem in stems:
            found.setdefault(stem, set()).update(stems)
    return {stem: frozenset(others - {stem}) for stem, others in found.items()}


def vocabulary(texts: Iterable[Scanned]) -> dict[bytes, int]:
    """The parts of the texts' words as they were first written, with their terms."""
    found: dict[int, bytes] = {}
    for each in texts:
        terms, first = np.unique(each.words.term, return_index=True)
        starts, ends = each.words.start[first].tolist(), each.words.end[first].tolist()
        lower = each.data.lower()
        for term, start, end in zip(terms.tolist(), starts, ends, strict=True):
            if term not in found:
                found[term] = lower[start:end]
    return {word: term for term, word in found.items()}


def widened(query: Query, chosen: Sequence[int], words: dict[bytes, int]) -> tuple[Hashes, Floats]:
    """The terms to count, sorted, and how much each counts as each of the query's chosen terms."""
    pairs: dict[tuple[int, int], float] = {}
    place = {int(query.terms[index]): column for column, index in enumerate(chosen)}
    for term, column in place.items():
        pairs[term, column] = 1.0
    synonyms, short = _groups(_SYNONYMS), _groups(_ABBREVIATED)
    written = b"\n".join([b"", *words, b""])
    for index in chosen:
        for stem, term in stems_of(query.words[index]):
            column = place.get(term, -1)
            if column < 0 or query.whole[chosen[column]]:
                continue
            related = {(word, _RELATED) for word in short.get(stem, ())}
            related |= {(word, _SYNONYM) for word in synonyms.get(stem, ())}
            if len(stem) >= _LEAST_SHARED:
                near = _words_with(written, b"\n" + stem[:_LEAST_SHARED])
                related |= {(word, _how_near(stem, word)) for word in near}
                ending = _words_with(written, stem + b"\n")
                related |= {(word, _INSIDE) for word in ending if word != stem}
            for word, much in related:
                for alias in _terms_of(word, words):
                    if much and alias != term:
                        pairs[alias, column] = max(much, pairs.get((alias, column), 0.0))
    terms = distinct(term for term, _ in pairs)
    weights = np.zeros((len(terms), max(1, len(chosen))), np.float32)
    for (term, column), much in pairs.items():
        weights[np.searchsorted(terms, np.uint32(term)), column] = much
    return terms, weights


def _words_with(written: bytes, piece: bytes) -> Iterator[bytes]:
    """The words that begin or end with the piece; each stands in a line, and the piece has its end.

    Looking through thousands of words one by one would take longer than all else here.
    """
    at = written.find(piece)
    while at >= 0:
        inside = at + 1 if piece.startswith(b"\n") else at
        begin = written.rfind(b"\n", 0, inside) + 1
        end = written.find(b"\n", inside)
        yield written[begin:end]
        at = written.find(piece, end)


def _terms_of(word: bytes, words: dict[bytes, int]) -> Iterable[int]:
    if word in words:
        return (words[word],)
    return (term for _, term in stems_of(word.decode("utf-8", "replace")))


def _how_near(stem: bytes, word: bytes) -> float:
    """How much a word counts as the stem by the letters that both begin with."""
    shared = 0
    for one, two in zip(stem, word, strict=False):
        if one != two:
            break
        shared += 1
    if shared >= max(_LEAST_SHARED, _SHARED * max(len(stem), len(word))):
        return _RELATED
    return _INSIDE if shared == len(stem) >= _LEAST_INSIDE else 0.0
