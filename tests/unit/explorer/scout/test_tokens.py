import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.scout import tokens
from explorer.scout.tokens import MAX_SCAN_BYTES, PAD, defined_words, lines_of, scan, words_of


def parts(text):
    return [part for _, found, _ in words_of(text) for part in found]


def whole(text):
    return [complete for _, _, complete in words_of(text)]


def names(source):
    text = np.frombuffer(PAD + source.encode() + PAD, np.uint8)
    found = scan(text)
    named = defined_words(text, found, lines_of(text))
    return [
        bytes(text[a:b]).decode()
        for a, b in zip(found.word_start[named], found.word_end[named], strict=True)
    ]


def test_every_spelling_of_a_compound_has_one_whole():
    assert len(set(whole("fooBar foo_bar FOO_BAR FooBar foobar __foo_bar__"))) == 1


def test_camel_case_snake_case_and_acronyms_have_the_same_parts():
    assert parts("HTTPServer") == parts("http_server") == parts("httpServer")


@pytest.mark.parametrize(
    "forms",
    ["cache caches cached caching", "query queries", "run running runs", "load loads loaded"],
)
def test_the_forms_of_an_english_word_have_one_stem(forms):
    assert len(set(parts(forms))) == 1


def test_compile_and_compiler_stay_two_words():
    assert len(set(parts("compile compiler"))) == 2


def test_single_letters_and_small_numbers_are_no_parts():
    assert parts("a i x 1 42") == []
    assert len(parts("404 utf8")) == 2


def test_words_beyond_ascii_are_words():
    assert len(parts("Größe größe")) == 2
    assert [word for word, _, _ in words_of("naïve 接続")] == ["naïve", "接続"]


@given(st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}", fullmatch=True), max_size=30))
def test_a_words_hashes_do_not_depend_on_what_stands_around_it(words):
    together = words_of(" ".join(words))

    assert [(found, whole) for _, found, whole in together] == [
        (found, whole) for word in words for _, found, whole in words_of(word)
    ]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_scanned(data):
    text = np.frombuffer(PAD + data + PAD, np.uint8)
    found = scan(text)

    assert len(found.term) == len(found.start) == len(found.end)
    assert np.all(found.start < found.end)
    assert np.all(found.word_start < found.word_end)


def test_a_text_beyond_the_limit_is_refused():
    with pytest.raises(ValueError, match="too many"):
        scan(np.zeros(MAX_SCAN_BYTES + 1, np.uint8))


@pytest.mark.parametrize(
    ("source", "defined"),
    [
        ("class Cart(Base):\n    def total(self):\n        return sum(x)\n", ["Cart", "total"]),
        ("func (s *Server) Serve(l Listener) error {\n\tif ok(l) {\n", ["Serve"]),
        ("int loadFile(char *name) {\n    while (next(name)) {\n", ["loadFile"]),
        ("static int load(char *name)\n{\n    call(name);\n", ["load"]),
        ("  public void run(String s) {\n    } else if (a(s)) {\n", ["run"]),
        ("fn parse<'a>(input: &'a str) -> Ast {\n", ["parse"]),
        ("  def self.connect(name)\n    open(name)\n", ["self", "connect"]),
        ("export function create() {\n  return make({\n", ["create"]),
    ],
)
def test_the_names_that_definitions_introduce_are_found(source, defined):
    assert names(source) == defined


def test_a_long_text_is_read_though_another_thread_needs_tables_for_a_short_one(monkeypatch):
    class Shared(list):
        def __setitem__(self, at, tables):
            super().__setitem__(at, [tuple(table[:100] for table in each) for each in tables])

    monkeypatch.setattr(tokens, "_powers", Shared())
    text = np.frombuffer(PAD + b"word " * 20_000 + PAD, np.uint8)
    assert len(scan(text).start) == 20_000
