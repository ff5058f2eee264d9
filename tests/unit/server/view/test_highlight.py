import pytest

from server.view.highlight import MOST_CHARS, Kind, pieces

CODE: dict[str, tuple[str, list[tuple[Kind, str]]]] = {
    "python": ("a.py", [("k", "def"), ("f", "found"), ("m", "1"), ("k", "return"), ("c", "# why")]),
    "python's end": ("a.py", [("m", "None"), ("s", '"text"')]),
    "go": ("a.go", [("k", "func"), ("m", "nil"), ("s", '"text"')]),
    "rust": ("a.rs", [("k", "pub"), ("k", "fn"), ("f", "found"), ("c", "// why")]),
    "typescript": ("a.ts", [("k", "export"), ("k", "function"), ("m", "1")]),
    "php": ("a.php", [("k", "function"), ("f", "found"), ("s", "'text'")]),
    "c": ("a.h", [("k", "int"), ("f", "found"), ("m", "1")]),
    "sql": ("a.sql", [("k", "SELECT"), ("c", "-- why")]),
    "perl": ("a.pl", [("k", "sub"), ("f", "found")]),
    "json": ("a.json", [("k", '"key"'), ("m", "true")]),
    "docker": ("sub/Dockerfile", [("k", "FROM")]),
}
TEXTS = {
    "python": "def found(a=1):\n    return a  # why",
    "python's end": 'value = None\n"text"',
    "go": 'func (t *T) found() error {\n\treturn nil\n}\nx := "text"',
    "rust": "pub fn found() -> i32 {} // why",
    "typescript": "export function found() { return 1 }",
    "php": "public function found() { return 'text'; }",
    "c": "int found(void) { return 1; }",
    "sql": "SELECT * FROM t -- why",
    "perl": "sub found { 1 }",
    "json": '{"key": true}',
    "docker": "FROM scratch",
}


@pytest.mark.parametrize("language", TEXTS)
def test_words_of_a_language_have_their_colours_and_no_letter_is_lost(language: str) -> None:
    path, expected = CODE[language]
    lines = TEXTS[language].split("\n")
    found = pieces(path, lines)
    assert ["".join(text for _, text in line) for line in found] == lines
    assert set(expected) <= {piece for line in found for piece in line}


def test_what_spans_lines_keeps_its_colour_in_each_of_them() -> None:
    first, second, third = pieces("a.py", ['"""One', "", 'three."""'])
    assert (first, second, third) == ([("s", '"""One')], [], [("s", 'three."""')])


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("a.py", 'Raises:\n    KeyError: if not.\n"""\nreturn 1', "s"),
        ("a.py", "if it is. '''\nreturn 1", "s"),
        ("a.ts", " * if not\n */\nreturn 1", "c"),
        ("a.go", "if it is */\nreturn 1", "c"),
        ("a.html", "if -->\n<return>1", "c"),
    ],
)
def test_an_excerpt_may_begin_inside_a_comment_or_a_string(
    path: str, text: str, kind: Kind
) -> None:
    first, *_, last = pieces(path, text.split("\n"))
    assert first == [(kind, text.split("\n")[0])]
    assert ("k", "return") in last


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", 'return 1\nx = """if\nnot"""'),
        ("a.py", 'return """if\nnot"""'),
        ("a.py", '"""If\nnot."""\nreturn 1'),
        ("a.py", 'def f():\n    """\n    If not.\n    """\n    return 1'),
        ("a.py", 'return 1\ndef f():\n    """\n    If not.'),
        ("a.py", 'return f"""if\nnot"""'),
        ("a.js", 'return glob("**/*.js")'),
        ("a.js", "return 1 /* if\nnot */"),
    ],
)
def test_an_excerpt_that_begins_outside_of_them_is_left_alone(path: str, text: str) -> None:
    assert ("k", "return") in {piece for line in pieces(path, text.split("\n")) for piece in line}


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("notes.nothing-known", ["def f(): ...", "", "x"]),
        ("a.py", ["lone\rreturn"]),
        ("a.py", ["x = 1  # " + "y" * MOST_CHARS]),
        ("a.py", []),
        # Pygments has a lexer for it, which few people need and nobody has looked at.
        ("a.bf", ["+++[->+<]"]),
    ],
)
def test_what_no_lexer_takes_stays_as_it_is(path: str, lines: list[str]) -> None:
    assert pieces(path, lines) == [[("", line)] if line else [] for line in lines]
