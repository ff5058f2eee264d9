import base64
import json
import os
import random

import anyio
import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout, index, texts

pytestmark = pytest.mark.anyio

PYTHON = '''"""Shopping carts."""


class Cart:
    def add(self, item):
        self.items.append(item)

    def apply_discount(self, percent):
        """Reduce the total by a percentage."""
        self.total -= self.total * percent / 100
'''
GO = """package server

func (s *Server) acceptConnection(l net.Listener) error {
\tconn, err := l.Accept()
\treturn s.handshake(conn, err)
}
"""
RUST = """pub struct Tokenizer;

impl Tokenizer {
    pub fn skip_whitespace(&mut self) -> usize {
        self.cursor.eat_while(char::is_whitespace)
    }
}
"""
JAVA = """public class LogCleaner {
    private void compactSegments(List<Segment> segments) {
        for (Segment segment : segments) {
            segment.compact();
        }
    }
}
"""
C = """#include "zmalloc.h"

void *resizeHashTable(dict *d, unsigned long size) {
    dictht *ht = zmalloc(size);
    return ht;
}
"""
RUBY = """module Mailer
  def deliver_later(message)
    enqueue(message, queue: :mailers)
  end
end
"""
SCRIPT = """export const createRouter = (options) => {
  const matcher = createMatcher(options.routes)
  return { resolve: (path) => matcher.match(path) }
}
"""
PHP = """<?php
class SessionGuard {
    public function attemptLogin(array $credentials) {
        return $this->provider->validateCredentials($credentials);
    }
}
"""
JAVASCRIPT = """class EventBus {
  unsubscribe (listener) {
    this.listeners.delete(listener)
  }
}
module.exports = { EventBus }
"""
CPP = """#include "matrix.hpp"

double Matrix::determinant() const {
    return lu().diagonal().product();
}
"""
CSHARP = """namespace Billing {
    public class InvoiceRenderer {
        public string RenderFooter(Invoice invoice) => invoice.Footer.Trim();
    }
}
"""
KOTLIN = """class ThumbnailLoader(private val disk: Disk) {
    fun evictOldest(limit: Long) {
        disk.trimTo(limit)
    }
}
"""
ELIXIR = """defmodule Ledger.Journal do
  def append_entry(journal, entry) do
    %{journal | entries: [entry | journal.entries]}
  end
end
"""
SCALA = """object Scheduler {
  def reschedule(task: Task, delay: Duration): Unit = queue.offer(task, delay)
}
"""
SWIFT = """struct Keychain {
    func storePassword(_ password: String) throws {
        try write(password)
    }
}
"""
SHELL = """rotate_backups() {
  find "$1" -name '*.tar' -mtime +7 -delete
}
"""
TREE = {
    "bus/eventBus.js": JAVASCRIPT,
    "math/matrix.cpp": CPP,
    "billing/InvoiceRenderer.cs": CSHARP,
    "images/ThumbnailLoader.kt": KOTLIN,
    "ledger/journal.ex": ELIXIR,
    "sched/Scheduler.scala": SCALA,
    "secrets_store/Keychain.swift": SWIFT,
    "ops/rotate.sh": SHELL,
    "shop/cart.py": PYTHON,
    "net/server.go": GO,
    "lexer/tokenizer.rs": RUST,
    "core/LogCleaner.java": JAVA,
    "src/dict.c": C,
    "lib/mailer.rb": RUBY,
    "web/router.ts": SCRIPT,
    "auth/SessionGuard.php": PHP,
    "README.md": "# Everything\n\nCarts, servers, routers, sessions, mailers and hash tables.\n",
}


def lay_out(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        data = text if isinstance(text, bytes) else text.encode()
        (root / path).write_bytes(data)


@pytest.fixture
def tree(tmp_path):
    lay_out(tmp_path, TREE)
    return tmp_path


async def ask(root, query, **options):
    with Workspace.open(root) as workspace:
        return await Scout(workspace).answer(query, **options)


@pytest.mark.parametrize(
    ("query", "path", "line"),
    [
        ("where is the discount of a cart computed", "shop/cart.py", 8),
        ("how are connections accepted and the handshake done", "net/server.go", 3),
        ("skipping white space: skip_whitespace eats too much", "lexer/tokenizer.rs", 4),
        ("compaction of log segments", "core/LogCleaner.java", 2),
        ("resizing the hash table leaks memory of zmalloc", "src/dict.c", 3),
        ("mails are delivered later through a queue", "lib/mailer.rb", 2),
        ("createRouter does not match routes", "web/router.ts", 1),
        ("login attempts validate credentials", "auth/SessionGuard.php", 3),
        ("listeners stay after unsubscribe from the event bus", "bus/eventBus.js", 2),
        ("the determinant of a matrix is wrong", "math/matrix.cpp", 3),
        ("rendering the footer of an invoice", "billing/InvoiceRenderer.cs", 3),
        ("thumbnails: the oldest are not evicted", "images/ThumbnailLoader.kt", 2),
        ("appending an entry to the journal loses the ledger", "ledger/journal.ex", 2),
        ("tasks are rescheduled with a delay", "sched/Scheduler.scala", 2),
        ("storing a password in the keychain", "secrets_store/Keychain.swift", 2),
        ("which backups are rotated and deleted", "ops/rotate.sh", 1),
    ],
)
async def test_a_question_finds_its_place_in_every_language(tree, query, path, line):
    found = await ask(tree, query)

    best = found.citations[0]
    assert best.path == path
    assert best.start <= line <= best.end
    assert best.evidence


@pytest.mark.parametrize("query", ["", "   ", "where is the", "!?!", "\x00\x01"])
async def test_a_query_without_words_has_no_citation_and_says_why(tree, query):
    found = await ask(tree, query)

    assert found.citations == ()
    assert "no words to search for" in found.answer


async def test_words_that_occur_nowhere_give_no_citation(tree):
    found = await ask(tree, "接続プール Verbindungsabbruch xylophone")

    assert found.citations == ()
    assert "No file shares" in found.answer


@pytest.mark.parametrize(
    "query",
    [
        "Wo wird der Rabatt (`apply_discount`) des Einkaufswagens berechnet?",
        "apply_discount はどこで計算されますか",
        "où est calculée la remise apply_discount",
    ],
)
async def test_a_question_in_another_language_finds_the_name_it_holds(tree, query):
    found = await ask(tree, query)

    assert found.citations[0].path == "shop/cart.py"
    assert found.citations[0].start <= 8 <= found.citations[0].end


async def test_a_query_of_100_kb_is_answered(tree):
    found = await ask(tree, "discount percent cart " * 5_000)

    assert found.citations[0].path == "shop/cart.py"


async def test_a_bare_stack_trace_finds_the_file_of_its_frame(tree):
    trace = 'Traceback (most recent call last):\n  File "/srv/app/shop/cart.py", line 9, in add\n'
    found = await ask(tree, trace)

    assert found.citations[0].path == "shop/cart.py"


async def test_a_root_without_files_gives_no_citation(tmp_path):
    found = await ask(tmp_path, "where is the cart")

    assert found.citations == ()


async def test_a_root_without_code_still_finds_its_text(tmp_path):
    lay_out(tmp_path, {"notes.txt": "The boiler is in the cellar.\n"})
    found = await ask(tmp_path, "boiler cellar")

    assert [citation.path for citation in found.citations] == ["notes.txt"]


async def test_hidden_secret_ignored_and_outside_files_are_never_cited(tmp_path):
    root = tmp_path / "root"
    lay_out(
        root,
        {
            ".gitignore": "ignored.py\n",
            ".env": "frobnicator = 1\n",
            ".hidden/frobnicator.py": "frobnicator = 1\n",
            "server.pem": "frobnicator\n",
            "ignored.py": "frobnicator = 1\n",
            "seen.py": "frobnicator = 1\n",
        },
    )
    lay_out(tmp_path, {"outside/frobnicator.py": "frobnicator = 1\n"})
    (root / "link.py").symlink_to(tmp_path / "outside/frobnicator.py")
    (root / "linked").symlink_to(tmp_path / "outside")
    found = await ask(root, "frobnicator")

    assert [citation.path for citation in found.citations] == ["seen.py"]


async def test_a_directory_swapped_for_a_link_outside_is_not_read(tmp_path):
    root = tmp_path / "root"
    lay_out(root, {"inside/plain.py": "x = 1\n", "other.py": "y = 2\n"})
    lay_out(tmp_path, {"outside/plain.py": "frobnicator = 1\n"})
    with Workspace.open(root) as workspace:
        await workspace.files()
        (root / "inside").rename(tmp_path / "moved")
        (root / "inside").symlink_to(tmp_path / "outside")
        found = await Scout(workspace).answer("frobnicator")

    assert found.citations == ()


async def test_binary_minified_and_undecodable_files_do_no_harm(tmp_path):
    lay_out(
        tmp_path,
        {
            "image.bin": b"cart\x00discount" * 1_000,
            "bundle.min.js": "function cart(){discount()};" * 20_000,
            "latin.py": "# gr\xf6sse\ndef discount(cart):\n    pass\n".encode("latin-1"),
            "utf16.py": "def discount_utf16(cart):\n    pass\n".encode("utf-16"),
            "cut.py": "# gr\xf6\xdfe \u63a5".encode()[:-1],
            "empty.py": "",
            "one_line.json": '{"cart": "discount"}' * 50_000,
        },
    )
    with (tmp_path / "huge.log").open("wb") as huge:
        for _ in range(200):
            huge.write(b"a line of noise, then noise and more of it again\n" * 21_400)
    found = await ask(tmp_path, "discount of a cart")

    assert found.citations[0].path in {"latin.py", "utf16.py"}
    assert all(citation.path != "image.bin" for citation in found.citations)


DATA = base64.b64encode(random.Random(1).randbytes(45_000)).decode()
CODE = "".join(f"def helper_{i}(x):\n    return x + {i}\n\n\n" for i in range(25))
NOTEBOOK = json.dumps(
    {
        "cells": [
            {
                "source": ["def churn_score(df):\n", "    return df.mean()\n"],
                "outputs": [DATA] * 40,
            },
            {"source": ["def lifetime_value(df):\n", "    return df.sum()\n"]},
        ]
    },
    indent=1,
)


@pytest.mark.parametrize(
    ("query", "path", "line"),
    [
        ("where is render_badge?", "badge.py", "def render_badge(user):"),
        ("where is lifetime_value?", "analysis.ipynb", '"def lifetime_value(df):'),
        ("where is submitInvoice?", "Card.vue", "function submitInvoice(form) {"),
        ("how does the gatekeeper enforce the quota?", "guide.md", "The quota is enforced"),
        ("what is in bundle.min.js?", "bundle.min.js", "function a(){}"),
        ("where is settle_ledger?", "generated.py", "def settle_ledger(n):"),
    ],
)
async def test_a_long_line_hides_neither_the_other_lines_nor_the_file(tmp_path, query, path, line):
    files = {
        "badge.py": f'ICON = "data:{DATA}"\n\n\n{CODE}def render_badge(user):\n    return ICON\n',
        "analysis.ipynb": NOTEBOOK,
        "Card.vue": f"<path d='{'M10 10 L20 20 ' * 900}'/>\nfunction submitInvoice(form) {{\n}}\n",
        "guide.md": f"{'A paragraph of many words. ' * 40}\n\n" * 12
        + "The quota is enforced by the gatekeeper.\n",
        "bundle.min.js": "function a(){};" * 20_000,
        "generated.py": "x = 1  # filler, and more filler of it\n" * 40_000
        + "def settle_ledger(n):\n    return n\n",
        "main.py": "def main():\n    pass\n",
    }
    lay_out(tmp_path, files)
    found = await ask(tmp_path, query)

    assert found.citations[0].path == path
    cited = found.citations[0]
    text = files[path].split("\n")[cited.start - 1 : cited.end]
    assert any(each.strip().startswith(line) for each in text)


@pytest.mark.parametrize("name", ["fixture.json", "generated.c"])
async def test_what_lies_beyond_the_part_that_is_read_is_not_denied(tmp_path, name, monkeypatch):
    monkeypatch.setattr(texts, "MAX_BYTES", 10_000)
    monkeypatch.setattr(texts, "MAX_CODE_BYTES", 20_000)
    monkeypatch.setattr(index, "MAX_BYTES", 10_000)
    monkeypatch.setattr(index, "MAX_CODE_BYTES", 20_000)
    lay_out(tmp_path, {name: "filler_of_it\n" * 4_000 + "settle_ledger\n", "a.py": "x = 1\n"})
    found = await ask(tmp_path, "where is settle_ledger?")

    assert found.citations == ()
    assert f"Only the beginning of these large files was searched: {name}." in found.notes


async def test_fifos_and_pendingable_directories_are_passed_over(tree):
    os.mkfifo(tree / "shop" / "discount.py")
    found = await ask(tree, "discount of a cart")

    assert found.citations[0].path == "shop/cart.py"


async def test_changed_new_and_deleted_files_are_seen_by_the_next_question(tree):
    with Workspace.open(tree) as workspace:
        scout = Scout(workspace)
        first = await scout.answer("frobnicator")
        lay_out(tree, {"shop/cart.py": "frobnicator = 1\n", "new.py": "frobnicator = 1\n"})
        workspace.forget()
        second = await scout.answer("frobnicator")
        (tree / "shop/cart.py").unlink()
        workspace.forget()
        third = await scout.answer("frobnicator")

    assert first.citations == ()
    assert {citation.path for citation in second.citations} == {"shop/cart.py", "new.py"}
    assert {citation.path for citation in third.citations} == {"new.py"}


async def test_never_more_citations_than_asked_for(tree):
    found = await ask(tree, "cart server tokenizer segments hash table", max_citations=1)

    assert len(found.citations) == 1


async def test_ranges_lie_within_their_files(tree):
    found = await ask(tree, "cart discount segments compact routes options credentials queue")

    assert found.citations
    for citation in found.citations:
        lines = (tree / citation.path).read_text().splitlines()
        assert 1 <= citation.start <= citation.end <= len(lines)


async def test_without_time_the_notes_say_what_was_left_out(tree):
    found = await ask(tree, "cart discount", deadline_s=0)

    assert found.citations == ()
    assert any("not searched" in note for note in found.notes)


async def test_cancelling_ends_the_wait_and_leaves_the_scout_usable(tree):
    with Workspace.open(tree) as workspace:
        scout = Scout(workspace)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await scout.answer("discount of a cart")
        found = await scout.answer("discount of a cart")

    assert scope.cancelled_caught
    assert found.citations[0].path == "shop/cart.py"


async def test_the_same_question_has_the_same_answer(tree):
    first = await ask(tree, "cart discount")
    second = await ask(tree, "cart discount")

    assert first == second


async def test_beyond_the_bound_code_is_indexed_first_and_the_rest_is_named(tree, monkeypatch):
    monkeypatch.setattr("explorer.scout.index.MAX_FILES", len(TREE) - 1)
    found = await ask(tree, "discount of a cart, everything in hash tables")

    assert found.citations[0].path == "shop/cart.py"
    assert "README.md" not in {citation.path for citation in found.citations}
    assert any(f"1 of {len(TREE)} files were left out" in note for note in found.notes)


async def test_beyond_the_bound_in_bytes_tests_and_documents_are_left_out_first(tree, monkeypatch):
    lay_out(tree, {"tests/test_cart.py": "# filler\n" * 900, "docs/cart.md": "filler\n" * 900})
    monkeypatch.setattr("explorer.scout.index.MAX_SOURCE_BYTES", 6_000)
    found = await ask(tree, "apply_discount of a cart")

    assert found.citations[0].path == "shop/cart.py"
    assert any(f"2 of {len(TREE) + 2} files were left out" in note for note in found.notes)


async def test_ranges_are_whole_definitions_where_they_are_short(tree):
    names = ["open_drawer", "count_coins", "print_receipt", "refund_customer", "lock_drawer"]
    body = [
        "    amount = self.read()",
        "    if amount:",
        "        self.note(amount)",
        "    return 1",
    ]
    text = "".join("\n".join([f"def {name}(self):", *body, "", "", ""]) for name in names)
    lay_out(tree, {"pay/till.py": text})
    found = await ask(tree, "why does print_receipt of the till note nothing")

    best = found.citations[0]
    assert best.path == "pay/till.py"
    assert best.start <= 15 <= 19 <= best.end
    for each in found.citations:
        if each.path == best.path:
            # Definitions begin on lines 1, 8, 15 and so on and are five lines long.
            assert (each.start % 7, each.end % 7) == (1, 5)


async def test_the_answer_says_how_sure_it_is(tree):
    found = await ask(tree, "apply_discount of a cart")

    assert found.confidence in ("high", "medium", "low")
    assert "confidence" not in found.answer


LOCKED = '"retry": {"backoff": "1"},\n"fetch-retry": {"exponential-backoff": "2"},\n'


@pytest.mark.parametrize(
    "path",
    [
        "package-lock.json",
        "web/yarn.lock",
        "go.sum",
        "coverage/lcov-report/retry.js.html",
        "coverage/coverage-final.json",
        "htmlcov/retry_py.html",
        "lib/__pycache__/retry.txt",
        "cache/retry.json",
        "build/lib/retry.py",
        "dist/assets/fetch-retry.js",
        "target/debug/retry.d",
        "public/retry.min.js",
    ],
)
async def test_what_tools_have_written_ranks_behind_sources(tmp_path, path):
    lay_out(
        tmp_path,
        {
            path: LOCKED * 20,
            "lib/retry.js": "module.exports = async function retry(fetch, n = 5) {\n  wait()\n}\n",
        },
    )
    found = await ask(tmp_path, "where does fetch retry with exponential backoff?")
    assert found.citations[0].path == "lib/retry.js"


async def test_a_lock_file_that_is_asked_for_comes_first(tmp_path):
    lay_out(tmp_path, {"package-lock.json": LOCKED * 20, "lib/retry.js": "function retry() {}\n"})
    found = await ask(tmp_path, "which retry does package-lock.json have?")
    assert found.citations[0].path == "package-lock.json"


async def test_a_build_folder_of_sources_is_no_output(tmp_path):
    lay_out(tmp_path, {"build/package.py": "def assemble_installer(path):\n    return path\n"})
    found = await ask(tmp_path, "where is the installer assembled?")
    assert found.citations[0].path == "build/package.py"
