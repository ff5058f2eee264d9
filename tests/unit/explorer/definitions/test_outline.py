"""The outline of a file, in every language that has a grammar and without one."""

import pytest

from explorer.definitions import grammars, outline
from explorer.definitions.languages import LANGUAGES
from explorer.definitions.outline import MAX_BYTES, Definition

PYTHON = '''import os

LIMIT = 3


@retry(
    times=2,
)
class Pool:
    """Keeps connections."""

    size: int = 4

    # Waits for one.
    async def take(self, wait_s: float = 1.0) -> "Connection":
        def ready() -> bool:
            return bool(self.idle)
        return await self.idle.get()


if __name__ == "__main__":
    main()
'''
GO = """package server

// Serve accepts.
func (s *Server[T]) Serve(l net.Listener) error {
\treturn nil
}

type Server[T any] struct {
\tname string
}

const limit = 3
"""
RUST = """/// Reads tokens.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a str,
}

impl<'a> Lexer<'a> {
    /// The next one.
    #[inline]
    pub fn next(&mut self) -> Token {
        Token::End
    }
}

macro_rules! square { ($x:expr) => { $x * $x }; }
"""
TYPESCRIPT = """import { a } from './a';

/** A store. */
export class Store<T> extends Base {
  private readonly limit = 3;
  handler = (event: Event) => {
    this.emit(event);
  };
  abstract size(): number;
  async get(key: string): Promise<T> {
    return this.map.get(key);
  }
}

export const debounce = (f: () => void) => {
  return f;
};

export default {
  name: 'x',
};

export interface Options { limit: number }
type Key = string;

describe('Store', () => {
  it('finds', () => {
    expect(1);
  });
});
"""
JAVA = """package a;
/** Cleans. */
@Service
public class Cleaner<T> {
    private int limit = 3;
    public Cleaner() { }
    @Override
    public void clean(T it) {
        it.run();
    }
    enum State { ON, OFF }
}
"""
CPP = """namespace net {
template <typename T>
class Socket {
 public:
  int send(const T& data) { return 1; }
};
}
int net::Socket::close() noexcept {
  return 0;
}
#define LIMIT 3
"""
CASES = [
    (
        "a.py",
        PYTHON,
        [
            ("LIMIT", "value", 3, 3),
            ("Pool", "class", 6, 18),
            ("Pool.size", "field", 12, 12),
            ("Pool.take", "function", 14, 18),
            ("Pool.take.ready", "function", 16, 17),
            ("", "statements", 21, 22),
        ],
    ),
    (
        "a.go",
        GO,
        [
            ("Server.Serve", "function", 3, 6),
            ("Server", "class", 8, 10),
            ("limit", "value", 12, 12),
        ],
    ),
    (
        "a.rs",
        RUST,
        [
            ("Lexer", "class", 1, 5),
            ("Lexer", "class", 7, 13),
            ("Lexer.next", "function", 8, 12),
            ("square", "function", 15, 15),
        ],
    ),
    (
        "a.ts",
        TYPESCRIPT,
        [
            ("Store", "class", 3, 13),
            ("Store.limit", "field", 5, 5),
            ("Store.handler", "function", 6, 8),
            ("Store.size", "function", 9, 9),
            ("Store.get", "function", 10, 12),
            ("debounce", "function", 15, 17),
            ("default", "value", 19, 21),
            ("Options", "class", 23, 23),
            ("Key", "type", 24, 24),
            ("describe 'Store'", "call", 26, 30),
            ("describe 'Store' > it 'finds'", "call", 27, 29),
        ],
    ),
    (
        "a.java",
        JAVA,
        [
            ("Cleaner", "class", 2, 12),
            ("Cleaner.limit", "field", 5, 5),
            ("Cleaner.Cleaner", "function", 6, 6),
            ("Cleaner.clean", "function", 7, 10),
            ("Cleaner.State", "class", 11, 11),
        ],
    ),
    (
        "a.cpp",
        CPP,
        [
            ("net", "class", 1, 7),
            ("net.Socket", "class", 2, 6),
            ("net.Socket.send", "function", 5, 5),
            ("net.Socket.close", "function", 8, 10),
            ("LIMIT", "value", 11, 11),
        ],
    ),
    (
        "a.c",
        "/* Adds. */\nstatic int *add(int a)\n{\n  return 0;\n}\n",
        [("add", "function", 1, 5)],
    ),
    (
        "a.js",
        "app.get('/users', (req, res) => {\n  res.end();\n});\nexports.run = function () {};\n"
        "app.get('/users/{id}', (req, res) => {\n  res.end();\n});\n",
        [
            ("app.get '/users'", "call", 1, 3),
            ("exports.run", "function", 4, 4),
            ("app.get '/users/{id}'", "call", 5, 7),
        ],
    ),
    (
        "b.js",
        "angular.module('shop').config(function (a) { a.set({ b: 1 }); })\n"
        "  .controller('Cart', function ($scope) {\n    $scope.fill = function () {};\n  });\n",
        [
            ("controller 'Cart'", "call", 1, 4),
            ("controller 'Cart' > $scope.fill", "function", 3, 3),
        ],
    ),
    (
        "a.kt",
        "class Loader(val a: Int) {\n  fun evict(n: Long) {\n    trim(n)\n  }\n}\n",
        [("Loader", "class", 1, 5), ("Loader.evict", "function", 2, 4)],
    ),
    (
        "a.cs",
        "namespace B {\n  class R {\n    string F(int a) => a.X;\n    int N { get; }\n  }\n}\n",
        [("B.R.F", "function", 3, 3), ("B.R.N", "field", 4, 4)],
    ),
    (
        "a.rb",
        "module M\n  class A\n    # Does.\n    def self.b(c)\n      d\n    end\n  end\nend\n",
        [("M.A.b", "function", 3, 6)],
    ),
    (
        "a.php",
        "<?php\nclass G {\n  private int $n = 1;\n  public function go(array $a) {\n  }\n}\n",
        [("G.$n", "field", 3, 3), ("G.go", "function", 4, 5)],
    ),
    (
        "a.swift",
        "struct K {\n  let a = 1\n  func put(_ p: String) throws {\n    w(p)\n  }\n}\n",
        [("K", "class", 1, 6), ("K.a", "field", 2, 2), ("K.put", "function", 3, 5)],
    ),
    (
        "operator.swift",
        "struct K {\n  static func == (l: K, r: K) -> Bool {\n    l.a == r.a\n  }\n}\n",
        [("K", "class", 1, 5), ("K.==", "function", 2, 4)],
    ),
    (
        "a.scala",
        "object S {\n  def again(t: Task): Unit = q.offer(t)\n}\n",
        [("S", "class", 1, 3), ("S.again", "function", 2, 2)],
    ),
    (
        "a.ex",
        "defmodule L.J do\n  def add(j, e) when j do\n    e\n  end\n  defp n, do: 1\nend\n",
        [("L.J", "class", 1, 6), ("L.J.add", "function", 2, 4), ("L.J.n", "function", 5, 5)],
    ),
    (
        "a.lua",
        "local M = {}\nfunction M.go(a)\n  return a\nend\nlocal function b() end\n",
        [("M.go", "function", 2, 4), ("b", "function", 5, 5)],
    ),
    (
        "a.sh",
        "#!/bin/sh\n# Turns.\nturn() {\n  mv a b\n}\nDIR=/tmp\n",
        [("turn", "function", 2, 5), ("DIR", "value", 6, 6)],
    ),
    # Without a grammar.
    (
        "a.dart",
        "class Foo {\n  int bar(int x) {\n    return x;\n  }\n}\n",
        [("Foo", "function", 1, 5), ("Foo.bar", "function", 2, 4)],
    ),
]


def named(found: tuple[Definition, ...]) -> list[tuple[str, str, int, int]]:
    return [(each.name, each.kind, each.start, each.end) for each in found]


@pytest.mark.parametrize(("path", "text", "expected"), CASES, ids=[case[0] for case in CASES])
def test_definitions_have_names_kinds_and_whole_ranges(
    path: str, text: str, expected: list[tuple[str, str, int, int]]
) -> None:
    found = named(outline(path, text.encode()))
    assert [each for each in found if each in expected] == expected


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_query_fits_its_installed_grammar(language: str) -> None:
    assert grammars.definitions_in(language, b"") == []


def test_a_body_begins_after_the_signature_and_a_head_before_the_first_member() -> None:
    by_name = {each.name: each for each in outline("a.py", PYTHON.encode())}
    assert (by_name["Pool.take"].head, by_name["Pool.take"].body) == (15, 16)
    assert by_name["Pool"].own_end == 13


def test_lines_are_right_in_text_that_is_not_utf_8() -> None:
    text = b"# \xff\xfe caf\xe9 \xf0\x9f\x98\x80\r\n" * 3 + b"def f():\r\n    return '\xe9'\r\n"
    assert named(outline("a.py", text))[-1] == ("f", "function", 1, 5)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", b"def f():\n" + b"(" * 200_000),
        ("a.js", b"x = " + b"[" * 100_000 + b"]" * 100_000),
        ("a.json", b'{"a":\n' * 20_000),
        ("a.c", b"int f() {" * 5_000 + b"}" * 5_000),
        ("a.scss", b"a {\n" * 20_000),
    ],
)
def test_deep_nesting_ends_in_an_outline(path: str, text: bytes) -> None:
    count = text.count(b"\n") + 1
    assert all(1 <= each.start <= each.end <= count for each in outline(path, text))


def test_a_file_that_is_too_large_has_no_outline() -> None:
    assert outline("a.py", b"x = 1\n" * (MAX_BYTES // 6 + 1)) == ()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.js", '/*\n\tSome licence\n\tAuthor A\n*/\n"use strict";\n\nfunction run() {}\n'),
        ("a.cs", "using System;\nnamespace Some.Thing;\n\nclass Run { int x; }\n"),
        ("a.php", "<?php\ndeclare(strict_types=1);\n\nnamespace Some;\n\nfunction run() {}\n"),
        ("a.h", "#pragma once\n#include <a.h>\n\nvoid run() {}\n"),
    ],
)
def test_licences_and_directives_are_no_statements(path: str, text: str) -> None:
    assert all(each.name for each in outline(path, text.encode()))


def test_without_its_grammar_a_language_is_read_by_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammars, "_loaded", lambda _name: None)
    text = "class Foo:\n    def bar(self):\n        return 1\n# without\n"
    assert named(outline("a.py", text.encode())) == [
        ("Foo", "function", 1, 3),
        ("Foo.bar", "function", 2, 3),
    ]


def test_broken_code_keeps_the_definitions_around_the_break() -> None:
    text = b"def one():\n    return (\n\ndef two():\n    return 2\n\ndef three():\n    return 3\n"
    assert "three" in [each.name for each in outline("a.py", text)]
