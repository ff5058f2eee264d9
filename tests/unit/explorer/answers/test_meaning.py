"""Which names in the code mean a definition."""

from collections.abc import Mapping

import pytest

from explorer.answers.meaning import Meaning, unshadowed
from explorer.answers.source import Source
from explorer.definitions.names import names_in

CASES: dict[str, tuple[str, Mapping[str, str]]] = {
    "Client.connect, in Python": (
        "Client.connect",
        {
            "net/client.py": """class Client:
    \"\"\"Use ``connect()``, or client.connect().\"\"\"
    def connect(self): ...
    def again(self):
        self.connect()  #!
        self._socket.connect()
        connect()
class Pool(Client):
    def fill(self): self.connect()  #!
class Other:
    def fill(self): self.connect()
    def all(self, client: Client, other: Other):
        client.connect()  #!
        other.connect()
        Client().connect()  #!
""",
            "net/agent.py": "def run(conn):\n    conn.connect()\n",
            "net/demo.py": """import net
def run():
    one = net.Client()
    one.connect()  #!
    get_client().connect()  #!
""",
        },
    ),
    "send, in Python": (
        "send",
        {
            "net/wire.py": """def send(): ...
def twice(send):
    send()
def once():
    send()  #!
    return send  #!
def never():
    send = 1
    return send
""",
            "net/a.py": "from net.wire import (\n    send,\n)\nsend()  #!\n",
            "net/b.py": "def send(): ...\nsend()\n",
            "net/c.py": "import net.wire as wire\nwire.send()  #!\nmail.send()\n",
        },
    ),
    "Server.apply, in Go": (
        "Server.apply",
        {
            "store/server.go": """package store
import (
\t"example.org/apply"
)
type Server struct{ apply int }
type Log struct{}
func (s *Server) apply(n int) {}
func (s *Server) Run() {
\ts.apply(1) //!
\tlog("apply", apply.Now())
\tgo run(s.apply) //!
}
func (l *Log) Run() { l.apply(1) }
""",
            "store/peer.go": """package store
func run(x *Server, y *Log) {
\tx.apply(1) //!
\ty.apply(1)
}
""",
            "other/server.go": "package other\nfunc (s *Server) Run() { s.apply(1) }\n",
        },
    ),
    "New, in Go": (
        "New",
        {
            "retry/retry.go": "package retry\nfunc New() {}\nfunc f() { New() } //!\n",
            "main.go": """package main
import "example.org/retry"
func f() {
\tretry.New() //!
\tother.New()
}
""",
        },
    ),
    "args, in Rust": (
        "args",
        {
            "src/config.rs": """pub fn args() -> u8 { 1 }
fn run() { let args = 1; f(args); }
fn all() { args(); } //!
""",
            "src/main.rs": """fn main() { crate::config::args(); } //!
fn more(args: u8) { f(args); env::args(); }
""",
        },
    ),
    "Base.build, in C#": (
        "Base.Build",
        {
            "src/Base.cs": "class Base {\n  internal int Build() { return 1; }\n}\n",
            "src/Sub.cs": """class Sub : Base {
  int All() => Build(); //!
  int Some(Other other) => other.Build() + Other.Build();
}
""",
            "src/Own.cs": "class Own {\n  int Build() => 1;\n  int All() => Build();\n}\n",
        },
    ),
    "Client.read, in Ruby": (
        "Client.read",
        {
            "lib/client.rb": """class Client
  def read
  end
  def all
    return read if open  #!
    @io.read
  end
end
""",
            "test/help.rb": "def all\n  read\nend\n",
        },
    ),
    "Locker.isFresh, in PHP": (
        "Locker.isFresh",
        {
            "src/Locker.php": "<?php\nclass Locker {\n  function isFresh() {}\n}\n",
            "src/Installer.php": """<?php
class Installer {
  function run(Locker $one, Cache $two) {
    $one->isFresh(); //!
    $this->locker->isFresh(); //!
    $composer->getLocker()->isFresh(); //!
    $two->isFresh();
    isFresh();
  }
}
""",
        },
    ),
    "Graph.add, in TypeScript": (
        "Graph.add",
        {
            "src/graph.ts": """export class Graph {
  add(n: number) {}
  all() {
    this.add(1); //!
    [1].forEach(this.add); //!
    new Set().add(1);
  }
}
""",
            "src/use.ts": """import { Graph } from "./graph";
const graph = new Graph(), one: Graph = graph, two = new Set();
graph.add(1); //!
one.add(2); //!
two.add(3);
""",
        },
    ),
    "open, in JavaScript": (
        "open",
        {
            "src/open.js": """export function open() {}
export const later = (open) => open();
""",
            "src/server.js": """import { open } from "./open.js";
function serve() {
  return {
    open() {
      open(); //!
      view.open();
    },
  };
}
module.exports = open;
""",
            "src/door.js": 'import { open } from "./door.js";\nopen();\n',
            "src/fs.js": 'import fs from "./fs.js";\nfs.open();\n',
        },
    ),
    "Pool.take, in Java": (
        "Pool.take",
        {
            "a/Pool.java": """class Pool {
  private int take() { return 1; }
  int all() { return take(); } //!
  void some(Queue queue) { queue.take(); }
}
""",
            "a/Other.java": "class Other {\n  int all(Pool pool) { return pool.take(); }\n}\n",
        },
    ),
    "Request.key, in Kotlin": (
        "key",
        {
            "a/Cache.kt": """fun Request.key(): String = ""
fun all(request: Request, map: Map) {
  request.key() //!
  chain.request().key() //!
  map.key()
}
""",
        },
    ),
    "put, in C": (
        "put",
        {
            "a.c": """static void put(int n) {}
int all(int put) { return put; }
void some(void) { put(1); } //!
struct ops ops = { .put = put }; //!
""",
            "b.c": "void some(void) { put(1); }\n",
        },
    ),
    "Sink.flush, in C++": (
        "Sink.flush",
        {
            "sink.h": """namespace log {
class Sink {
  void flush() { n = 1; }
  void all() { flush(); } //!
};
}
""",
            "sink.cc": """namespace log {
void Sink::some(Sink *sink, File *file) {
  this->flush(); //!
  sink->flush(); //!
  file->flush();
}
}
""",
        },
    ),
}
"""What is meant, and files of which the lines that end in ``!`` mean it; the first defines it."""


@pytest.mark.parametrize("case", CASES)
def test_a_name_means_the_definition_where_nothing_says_that_it_is_another(case: str) -> None:
    name, files = CASES[case]
    sources = [Source(path, text.split("\n")) for path, text in files.items()]
    home = sources[0]
    target = next(each for each in home.outline if each.name.endswith(name))
    meaning = Meaning(target, home, elsewhere=True)
    found = {
        (source.path, each.line)
        for source in sources
        for each in unshadowed(
            names_in(source.path, source.lines, 1, len(source.lines), target.last_name) or [],
            target if source is home else None,
        )
        if meaning.of(each, source)
    }
    assert found == {
        (source.path, number)
        for source in sources
        for number, line in enumerate(source.lines, 1)
        if line.endswith("!")
    }


def test_an_unknown_object_has_the_only_method_of_a_long_and_rare_name() -> None:
    home = Source("a.py", ["class Channel:", "    def exec_command(self): ..."])
    other = Source("b.py", ["chan.exec_command()", "it.exec_command()"])
    names = names_in(other.path, other.lines, 1, 2, "exec_command") or []

    def found(*, elsewhere: bool) -> list[int]:
        meaning = Meaning(home.outline[1], home, elsewhere=elsewhere, is_rare=True)
        return [each.line for each in names if meaning.of(each, other)]

    assert found(elsewhere=False) == [1, 2]
    assert found(elsewhere=True) == []


def test_another_class_does_not_have_the_only_method_of_a_name() -> None:
    home = Source("A.cs", ["class RetryHelper {", "  int NextDelay() {", "  }", "}"])
    other = Source(
        "B.cs", ["class B {", "  int Run() => Backoff.NextDelay() + helper.NextDelay();", "}"]
    )
    meaning = Meaning(home.outline[1], home, elsewhere=False, is_rare=True)
    names = names_in(other.path, other.lines, 1, 3, "NextDelay") or []
    assert [each.before for each in names if meaning.of(each, other)] == ["helper"]
