"""The names in a file's code, and what each of them is there."""

import pytest

from explorer.definitions.names import names_in

CODE = {
    "a.py": '''"""Call send first."""
from wire import send
class A:
    def run(self, send, sent=send):  # send
        self.send(1)
        return f"send {send(2)}", box.send, other(send=3)
''',
    "a.js": """const { send } = require("./wire");
class A {
  run(send) {
    this.send(1);  // send
    box?.send("send", { send: 3 });
    return list.map(send);
  }
}
""",
    "a.go": """package a
import (
\t"example.org/send"
)
func (a *A) Run(send int) {
\ta.send(1)
\tlog("send", send)
\tsend.Now()
\tt := T{send: 1}
}
""",
    "a.rs": """use wire::send;
fn run(send: u8) {
    self.send(1); // send
    wire::send::<T>(2);
    assert_eq!(a.send(3), "send");
    let send = 4;
}
""",
    "A.java": """import wire.send;
class A {
  void run(int send) {
    this.send(1); /* send */
    box.all().send("send");
    list.forEach(this::send);
  }
}
""",
    "A.kt": """import wire.send
class A(val send: Int) {
  fun run() {
    this.send(1) // send
    box?.send { it }
    list.forEach(::send)
    go(send = 1)
  }
}
""",
    "a.c": """#include "send.h"
int send(int);
int run(int send) {
  send(1); /* send */
  box->send(2);
  ops = (struct ops){ .send = send };
}
""",
    "A.cs": """using Send;
class A {
  int Run(int send) {
    this.send(1); // send
    box?.send<int>("send");
    return All(send, send: 1);
  }
}
""",
    "a.rb": """require "send"
def run(send: 1)
  send
  box.send 1 # send
  box&.send
  puts "send #{send}"
end
""",
    "a.php": """<?php
use function wire\\send;
function run($send) {
  send(1); // send
  $this->send($send);
  Box::send("send");
}
""",
}
CALL, REFERENCE, BINDING = "call", "reference", "binding"
EXPECTED = {
    "a.py": [
        (4, BINDING, None),
        (4, REFERENCE, None),
        (5, CALL, "self"),
        (6, CALL, None),
        (6, REFERENCE, "box"),
    ],
    "a.js": [(3, BINDING, None), (4, CALL, "this"), (5, CALL, "box"), (6, REFERENCE, None)],
    "a.go": [(5, BINDING, None), (6, CALL, "a"), (7, REFERENCE, None), (8, REFERENCE, None)],
    "a.rs": [
        (2, BINDING, None),
        (3, CALL, "self"),
        (4, CALL, "wire"),
        (5, CALL, "a"),
        (6, BINDING, None),
    ],
    "A.java": [
        (3, BINDING, None),
        (4, CALL, "this"),
        (5, CALL, "box.all()"),
        (6, REFERENCE, "this"),
    ],
    "A.kt": [(2, BINDING, None), (4, CALL, "this"), (5, CALL, "box"), (6, REFERENCE, "")],
    "a.c": [
        (2, BINDING, None),
        (3, BINDING, None),
        (4, CALL, None),
        (5, CALL, "box"),
        (6, REFERENCE, None),
    ],
    "A.cs": [(3, BINDING, None), (4, CALL, "this"), (5, CALL, "box"), (6, REFERENCE, None)],
    "a.rb": [
        (2, BINDING, None),
        (3, CALL, None),
        (4, CALL, "box"),
        (5, CALL, "box"),
        (6, CALL, None),
    ],
    "a.php": [(4, CALL, None), (5, CALL, "$this"), (6, CALL, "Box")],
}


@pytest.mark.parametrize("path", CODE)
def test_only_a_name_in_code_counts_and_it_is_called_referred_to_or_bound(path: str) -> None:
    lines = CODE[path].split("\n")
    found = names_in(path, lines, 1, len(lines), "send")
    assert found is not None
    assert [(each.line, each.role, each.before) for each in found] == EXPECTED[path]


def test_a_binding_says_in_which_lines_it_holds() -> None:
    lines = ["def outer():", "    sent = 1", "    def inner(sent):", "        pass", "sent = 2"]
    found = names_in("a.py", lines, 1, 5, "sent")
    assert found is not None
    assert [(each.line, each.scope) for each in found] == [(2, (1, 4)), (3, (3, 4)), (5, (0, 0))]


def test_all_names_of_some_lines_are_found() -> None:
    lines = ["a(b)", "c.d()", "e()"]
    found = names_in("a.py", lines, 2, 2)
    assert found is not None
    assert [(each.text, each.role) for each in found] == [("c", "reference"), ("d", "call")]


def test_the_scripts_of_a_component_are_code() -> None:
    lines = ["<template>", "send", "</template>", "<script>", "send();", "</script>"]
    found = names_in("A.vue", lines, 1, 6, "send")
    assert found is not None
    assert [(each.line, each.role) for each in found] == [(5, "call")]


def test_a_language_without_a_grammar_has_none() -> None:
    assert names_in("a.zig", ["send();"], 1, 1) is None
