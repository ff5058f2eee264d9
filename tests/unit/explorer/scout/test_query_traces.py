"""Stack traces: the paths and line numbers in them decide."""

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout
from explorer.scout.query import Frame, parse_trace, resolve
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
        ("\tat kafka.Log$$anon.append(Log.scala:8)", Frame("kafka/Log.scala", 8)),
    ],
)
def test_a_frame_of_each_form_is_recognised(line, frame):
    assert parse_trace(line).frames == (frame,)


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
    "piece", ["a-", "a.", "a/", "at a(", "`a", '"', "x.py:1 ", "1: a/b.c", "::"]
)
def test_a_query_of_100_kb_of_anything_is_read_in_time(piece):
    from explorer.scout.query import parse_query

    # Patterns that go back over what they read would take minutes, which the timeout notices.
    assert len(parse_query(piece * (100_000 // len(piece))).trace.frames) <= 200
