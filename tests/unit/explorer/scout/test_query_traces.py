"""Stack traces: the paths and line numbers in them decide."""

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout, query
from explorer.scout.folding import plain, seamed
from explorer.scout.trace import MAX_FRAMES, Frame, parse_trace, resolve
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

PYTHON = """Traceback (most recent call last):
  File "/usr/lib/python3.11/runpy.py", line 198, in _run_module_as_main
    return _run_code(code, main_globals, None,
  File "/srv/app/shop/views.py", line 4, in checkout
    total = cart.total()
  File "/srv/app/shop/cart.py", line 12, in total
    return sum(item.price for item in self.items)
AttributeError: 'NoneType' object has no attribute 'price'
"""
JAVA = """java.lang.IllegalStateException: segment already closed
\tat java.base/java.util.Objects.requireNonNull(Objects.java:233)
\tat org.shop.log.LogCleaner.clean(LogCleaner.java:12)
\tat org.shop.log.LogManager.run(LogManager.java:4)
Caused by: java.io.IOException: disk is full
\t... 12 more
"""
NODE = """TypeError: Cannot read properties of undefined (reading 'match')
    at resolve (/srv/app/web/router.ts:12:19)
    at async Server.handle (file:///srv/app/web/server.ts:4:5)
    at node:internal/process/task_queues:95:5
"""
GO = """panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a1b2c]

goroutine 1 [running]:
main.(*Pool).take(0x0)
\t/home/ci/src/shop/net/pool.go:12 +0x1d
main.main()
\t/home/ci/src/shop/net/main.go:4 +0x2a
"""
RUST = """thread 'main' panicked at lexer/src/cursor.rs:12:18:
index out of bounds: the len is 3 but the index is 7
stack backtrace:
   0: rust_begin_unwind
             at /rustc/90c5418/library/std/src/panicking.rs:645:5
   1: lexer::cursor::Cursor::bump
             at ./lexer/src/cursor.rs:12:18
   2: lexer::main
             at ./lexer/src/main.rs:4:5
"""
INNERMOST = {
    "python": (PYTHON, "shop/cart.py", "shop/views.py"),
    "java": (JAVA, "log/src/org/shop/log/LogCleaner.java", "log/src/org/shop/log/LogManager.java"),
    "node": (NODE, "web/router.ts", "web/server.ts"),
    "go": (GO, "net/pool.go", "net/main.go"),
    "rust": (RUST, "lexer/src/cursor.rs", "lexer/src/main.rs"),
}
BODY = "".join(f"value_{number} = compute({number})\n" for number in range(1, 41))
DECOY = (
    "AttributeError NoneType price items sum total match undefined segment closed index bounds\n"
)


@pytest.mark.parametrize("language", INNERMOST)
async def test_a_bare_trace_is_answered_with_its_frames_innermost_first(tmp_path, language):
    trace, innermost, outer = INNERMOST[language]
    tree = {path: BODY for _, one, other in INNERMOST.values() for path in (one, other)}
    # A file that holds every word of the messages, and namesakes in other directories.
    tree |= {"notes/messages.py": DECOY * 20, "other/cart.py": BODY, "other/pool.go": BODY}
    with Workspace.open(write_tree(tmp_path, tree)) as workspace:
        found = await Scout(workspace).answer(trace)

    assert [each.path for each in found.citations][:2] == [innermost, outer]
    assert found.citations[0].start <= 12 <= found.citations[0].end
    assert found.citations[1].start <= 4 <= found.citations[1].end


async def test_a_line_beyond_the_files_end_is_no_place(tmp_path):
    root = write_tree(tmp_path, {"shop/cart.py": "def total(items):\n    return sum(items)\n"})
    with Workspace.open(root) as workspace:
        found = await Scout(workspace).answer('  File "shop/cart.py", line 900, in total\n')

    assert all(each.end <= 2 for each in found.citations)


async def test_a_place_named_in_prose_is_cited_with_its_line(tmp_path):
    root = write_tree(tmp_path, {"shop/cart.py": BODY, "shop/order.py": "def total(): ...\n"})
    with Workspace.open(root) as workspace:
        found = await Scout(workspace).answer("why does total fail at shop/cart.py:12?")

    places = [each for each in found.citations if each.path == "shop/cart.py"]
    assert any(each.start <= 12 <= each.end for each in places)


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        ('  File "C:\\app\\shop\\cart.py", line 7, in total', Frame("C:/app/shop/cart.py", 7)),
        ("#0  take (pool=0x0) at src/net/pool.c:120", Frame("src/net/pool.c", 120)),
        ("#1 /var/www/shop/Cart.php(33): Cart->total()", Frame("var/www/shop/Cart.php", 33)),
        ("app/models/cart.rb:12:in `total'", Frame("app/models/cart.rb", 12)),
        ("   at Shop.Cart.Total() in /src/Shop/Cart.cs:line 9", Frame("src/Shop/Cart.cs", 9)),
        ("src/pool.c:12:5: error: expected ';'", Frame("src/pool.c", 12)),
        ("lib/cart.ex:12: Cart.total/1", Frame("lib/cart.ex", 12)),
        ('File "bin/main.ml", lines 12-15, characters 5-10:', Frame("bin/main.ml", 12)),
        ('{"m": "File \\"/srv/a.py\\", line 12, in f"}', Frame("srv/a.py", 12)),
        ("src/Main.hs:(12,5)-(14,20): error:", Frame("src/Main.hs", 12)),
        ("app/orders.ts[12, 3]: missing semicolon", Frame("app/orders.ts", 12)),
        ("src/app.ts L12", Frame("src/app.ts", 12)),
        ("src/app.ts (lines 12-15)", Frame("src/app.ts", 12)),
        ("src/app.ts starting at line 12", Frame("src/app.ts", 12)),
        ("src/app.ts, Zeile 12", Frame("src/app.ts", 12)),
        ("src/app.ts第12行", Frame("src/app.ts", 12)),
        ("src/app.tsの12行目", Frame("src/app.ts", 12)),
        ("line 12 of src/app.ts", Frame("src/app.ts", 12)),
        ("in lines 12-15 in `src/app.ts`", Frame("src/app.ts", 12)),
        ("At line 12 of file src/solve.f90", Frame("src/solve.f90", 12)),
        ("Syntax error on line 12 of /etc/httpd/a.conf:", Frame("etc/httpd/a.conf", 12)),
        ('in "config.yml", line 12, column 3', Frame("config.yml", 12)),
        ("appears to be in '/x/site.yml': line 12, column 3", Frame("x/site.yml", 12)),
        ("deploy.sh: 12: foo: not found", Frame("deploy.sh", 12)),
        ("  app.scss 12:5  root stylesheet", Frame("app.scss", 12)),
        ("src/a.c|12 col 3| error", Frame("src/a.c", 12)),
        ("::error file=src/app.js,line=12,col=5::x", Frame("src/app.js", 12)),
        ('{"filename": "src/app.py", "line": 12}', Frame("src/app.py", 12)),
        ('<error file="src/app.py" line="12"/>', Frame("src/app.py", 12)),
        ("CMake Error at CMakeLists.txt:12 (add_executable):", Frame("CMakeLists.txt", 12)),
        ("Makefile:12: *** missing separator.  Stop.", Frame("Makefile", 12)),
        ("docker/Dockerfile:12", Frame("docker/Dockerfile", 12)),
        (".gitlab-ci.yml line 12", Frame(".gitlab-ci.yml", 12)),
        ("https://x.org/a/-/blob/main/src/a.ts?ref_type=heads#L12-15", Frame("a.ts", 12)),
        ("https://github.com/a/b/blob/main/a.md?plain=1#L12C3-L15C1", Frame("a.md", 12)),
        ("https://bitbucket.org/a/b/src/main/a.ts#lines-12:15", Frame("a.ts", 12)),
        ("https://git.x.org/cgit/r.git/tree/a.c?h=v1#n12", Frame("a.c", 12)),
        ("https://dev.x.com/_git/r?path=/src/a.cs&version=GBmain&line=12", Frame("a.cs", 12)),
        ("src/app/users.ts：12", Frame("src/app/users.ts", 12)),
        ("@@ see “src/app/users.ts”, line 12", Frame("src/app/users.ts", 12)),
        ("\tat kafka.Log$$anon.append(Log.scala:8)", Frame("kafka/Log.scala", 8)),
    ],
)
def test_a_frame_of_each_form_is_recognised(line, frame):
    (found,) = parse_trace(seamed(plain(line))).frames

    assert found.line == frame.line
    assert found.path == frame.path or ("://" in line and found.path.endswith(f"/{frame.path}"))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("+++ b/src/pool.c\n@@ -10,6 +12,8 @@ int take(void)\n", [("b/src/pool.c", 12)]),
        ("/srv/web/app.js\n  12:5  error  'x' is unused\n", [("srv/web/app.js", 12)]),
        ("src/app.ts\n12:  return total\n", [("src/app.ts", 12)]),
        ('"file": "src/app.ts",\n"line": 12,\n', [("src/app.ts", 12)]),
        ("in a.ts, line 12 of b.ts", [("b.ts", 12)]),
        ("a.ts:3 and b.ts:4", [("a.ts", 3), ("b.ts", 4)]),
        ("open a.ts. Line 12 is wrong", []),
        ("a.ts has 12 lines", []),
        ("a.ts: 12 errors", []),
        ("the 12th line", []),
    ],
)
def test_the_places_of_a_text_are_those_that_it_names(text, places):
    assert [(frame.path, frame.line) for frame in parse_trace(text).frames] == places


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (r"   at Enemy.Hit() in C:\Users\dev\My Game\src\Enemy.cs:line 12", "src/Enemy.cs"),
        (r"in C:\dev\src\My Game\Enemy.cs:line 12", "src/My Game/Enemy.cs"),
        ("docs/release notes.md:12", "docs/release notes.md"),
        ("see release notes.md line 12", "docs/release notes.md"),
        ("app/shop/[slug]/page.tsx(12,3)", "app/shop/[slug]/page.tsx"),
        ("app/(shop)/page.tsx:12", "app/(shop)/page.tsx"),
        ("https://github.com/a/b/blob/main/src/My%20Game/Enemy.cs#L12", "src/My Game/Enemy.cs"),
        ("at f (webpack:///./src/app/users.ts?9c1d:12:3)", "src/app/users.ts"),
        ("at f (http://localhost:5173/src/app/users.ts?t=17:12:3)", "src/app/users.ts"),
        ("请看src/app/users.ts:12的错误", "src/app/users.ts"),
        ("文档/设计v2.md:12", "文档/设计v2.md"),
        ("src/Gro\u0308ße.py:12", "src/Größe.py"),
    ],
)
async def test_the_cited_range_holds_the_line_that_is_named(tmp_path, line, path):
    others = ["src/Enemy.cs", "other/Enemy.cs", "notes.md", "app/page.tsx", "app/users.ts", "v2.md"]
    root = write_tree(tmp_path, dict.fromkeys([*others, path], BODY))
    with Workspace.open(root) as workspace:
        found = await Scout(workspace).answer(line)

    assert found.citations[0].path == path
    named = [each for each in found.citations if each.path == path]
    assert any(each.start <= 12 <= each.end < each.start + 30 for each in named)


def test_a_bare_trace_is_told_from_a_question_that_holds_one():
    assert parse_trace(PYTHON).bare
    assert not parse_trace("Why is the discount wrong?\nIt should be a tenth.\na.py:3\nThanks").bare
    assert not parse_trace("no place is named here").bare


def test_times_hosts_and_versions_are_no_places_of_a_file():
    by_name = {"cart.py": ["shop/cart.py"]}
    trace = parse_trace("at 12:30:05 example.com:443 answered, version 1.2.3:4")

    assert all(resolve(frame, by_name) is None for frame in trace.frames)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("srv/app/shop/cart.py", "shop/cart.py"),
        ("shop/cart.py", "shop/cart.py"),
        ("cart.py", None),
        ("vendor/cart.py", None),
        ("setup.py", "setup.py"),
        ("home/me/setup.py", "setup.py"),
    ],
)
def test_the_longest_common_end_decides_and_a_tie_decides_nothing(path, found):
    by_name = {"cart.py": ["shop/cart.py", "tests/cart.py"], "setup.py": ["setup.py"]}

    assert resolve(Frame(path, 1), by_name) == found


@pytest.mark.parametrize(
    "piece",
    ["a-", "a.", "a/", "at a(", "`", "`a", '"', "1: a/b.c", "\\", "[", "<", "a b.c ", "?a=b&", " ",
     "x.c#a.", "“", "计", "\ufdfa", "A\u0308"],
)  # fmt: skip
def test_no_step_goes_back_over_what_it_has_read(piece, monkeypatch):
    monkeypatch.setattr(query, "MAX_QUERY_CHARS", 150_000)
    text = piece * (150_000 // len(piece))

    # A step that is quadratic in the question would take minutes, which the timeout notices.
    assert len(query.parse_query(text).trace.frames) <= MAX_FRAMES
