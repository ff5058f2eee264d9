"""The parts of documents, configuration, styles and components."""

import pytest

from explorer.definitions import outline

VUE = """<script setup lang="ts">
import { ref } from 'vue'

// Adds one.
function increment() {
  count.value++
}
</script>

<template>
  <button @click="increment">{{ count }}</button>
</template>

<style scoped>
button { color: red; }
</style>
"""
NOTEBOOK = """{
 "cells": [
  {
   "cell_type": "code",
   "source": [
    "def load(path):\\n",
    "    return open(path)\\n"
   ]
  }
 ]
}
"""
YAML = """# Tests.
on: [push]
jobs:
  test:
    runs-on: ubuntu
    steps:
      - uses: checkout
      - run: pytest
        env:
          A: 1
  lint:
    runs-on: ubuntu
    steps:
      - run: ruff
      - run: mypy
      - run: true
"""
SQL = """-- Users.
CREATE TABLE IF NOT EXISTS users (
  id int
);

CREATE OR REPLACE FUNCTION touch() RETURNS trigger AS $$
BEGIN
  RETURN NEW;
END;
$$ LANGUAGE plpgsql;
"""
MAKE = """CC ?= gcc
# Builds it.
all: main.o \\
\tutil.o
\t$(CC) -o x

clean:
\trm x
"""
SCSS = """.card,
.box {
  color: red;
  &:hover { color: blue; }
}
@mixin big { a: b; }
"""
MARKDOWN = """# Title

Intro.

## Install

```
# no heading
```

Setup
-----
"""


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.vue", VUE, [("increment", 4, 7), ("template", 10, 12), ("style", 14, 16)]),
        ("a.ipynb", NOTEBOOK, [("def load(path):", 5, 8)]),
        (".github/ci.yml", YAML, [("on", 1, 2), ("jobs", 3, 16), ("jobs.test", 4, 10)]),
        ("a.sql", SQL, [("users", 1, 4), ("touch", 6, 10)]),
        ("Makefile", MAKE, [("CC", 1, 1), ("all", 2, 5), ("clean", 7, 8)]),
        ("a.scss", SCSS, [(".card, .box", 1, 5), ("&:hover", 4, 4), ("@mixin big", 6, 6)]),
        (
            "a.md",
            MARKDOWN,
            [("Title", 1, 4), ("Title > Install", 5, 10), ("Title > Setup", 11, 12)],
        ),
        ("a.toml", "[a]\nb = 1\n\n[tool.c]\nd = [\n  1,\n]\n", [("a", 1, 2), ("tool.c", 4, 7)]),
        ("a.json", '{\n  "a": {\n    "b": 1\n  },\n  "c": 2\n}\n', [("a", 2, 4), ("c", 5, 5)]),
        ("a.html", '<div id="menu">\n</div>\n<h2>Prices</h2>\n<p>\n', [("Prices", 3, 4)]),
        (
            "a.svelte",
            "<script>\n  function go() {\n    return 1;\n  }\n</script>\n<h1>Hello</h1>\n",
            [("go", 2, 4), ("markup", 6, 6)],
        ),
    ],
)
def test_parts_have_the_names_that_a_person_would_use(
    path: str, text: str, expected: list[tuple[str, int, int]]
) -> None:
    found = [(each.name, each.start, each.end) for each in outline(path, text.encode())]
    assert [each for each in found if each in expected] == expected


@pytest.mark.parametrize("path", ["a.md", "a.yaml", "a.json", "a.sql", "a.css", "a.vue", "a.ipynb"])
@pytest.mark.parametrize(
    "text", [b"", b"\n", b"{", b"a: b: c", b"<script>", b'"source": [', b"\xff"]
)
def test_any_text_is_accepted(path: str, text: bytes) -> None:
    assert all(1 <= each.start <= each.end for each in outline(path, text))
