"""Records kept, listed and shown as a page."""

import html.parser
import json
from pathlib import Path

import pytest

from explorer.trajectory import read
from server.view.model import run_view
from server.view.page import compare_page, run_page
from tests.fakes.openai_server import calls, says, serving
from tests.recorded import EVIL, EVIL_NAME, fastcontext, record_run
from tests.tooling import write_tree


class Outline(html.parser.HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home and the record of a run in it."""
    home = tmp_path_factory.mktemp("home")
    return home, record_run(home, f"Where is the retry delay? {EVIL}")


def test_a_run_is_recorded_where_no_folder_is_named_and_listed(
    recorded: tuple[Path, Path],
) -> None:
    home, record = recorded
    listed = fastcontext(home, "runs")
    assert listed.stdout.startswith("  1  20")
    assert "answered" in listed.stdout
    (row,) = json.loads(fastcontext(home, "runs", "--json").stdout)
    assert row["path"] == str(record)
    assert (row["stop_reason"], row["turns"], row["model"]) == ("answered", 3, "fake-model")
    assert row["query"].startswith("Where is the retry delay?")
    assert record.stat().st_mode & 0o077 == 0


def test_view_writes_a_page_for_the_latest_run_for_its_owner_alone(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    home, record = recorded
    done = fastcontext(home, "view", "--no-open")
    assert done.returncode == 0, done.stderr
    written = Path(done.stdout.strip())
    assert written.stat().st_mode & 0o077 == 0
    assert written.read_text() == run_page(run_view(read(record)))
    written.unlink()
    named = tmp_path / "page.html"
    compared = fastcontext(home, "view", "1", str(record), "--output", str(named), "--no-open")
    assert compared.returncode == 0, compared.stderr
    view = run_view(read(record))
    assert named.read_text() == compare_page(view, view)


@pytest.mark.parametrize(
    ("name", "says"), [("7", "no run fits"), ("nothing-like-it", "no run fits")]
)
def test_a_run_that_is_not_there_is_refused_with_the_command_that_lists_them(
    recorded: tuple[Path, Path], name: str, says: str
) -> None:
    done = fastcontext(recorded[0], "view", name, "--no-open")
    assert done.returncode == 2
    assert says in done.stderr
    assert "fastcontext runs" in done.stderr


def test_without_any_record_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    assert "explore --record" in fastcontext(tmp_path, "view", "--no-open").stderr
    listed = fastcontext(tmp_path, "runs")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "explore --record" in listed.stderr


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "x.jsonl"
    other.write_text('{"format": 7}\n')
    done = fastcontext(tmp_path, "view", str(other), "--no-open")
    assert done.returncode == 2
    assert "format 7" in done.stderr


def test_a_run_by_the_scout_is_recorded_and_shown_too(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree", {".git/HEAD": "", "a.py": "def retry_delay(): ...\n"})
    explore = ["explore", "retry delay", "--repo", str(root), "--record"]
    assert fastcontext(tmp_path, *explore).returncode == 0
    (row,) = json.loads(fastcontext(tmp_path, "runs", "--json").stdout)
    assert (row["model"], row["citations"]) == ("scout", 1)
    done = fastcontext(tmp_path, "view", "--no-open", "--output", str(tmp_path / "p.html"))
    assert done.returncode == 0, done.stderr
    assert "a.py:1-1" in (tmp_path / "p.html").read_text()


def test_a_record_that_was_cut_off_is_shown_as_far_as_it_went(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    lines = recorded[1].read_text().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(lines[: len(lines) // 2]) + lines[-1][:40])
    page = run_page(run_view(read(cut)))
    assert "cut off" in page


def test_nothing_from_repository_or_model_becomes_markup(recorded: tuple[Path, Path]) -> None:
    view = run_view(read(recorded[1]))
    for page in (run_page(view), compare_page(view, view)):
        tags = Outline(page).tags
        names = {tag for tag, _ in tags}
        assert "img" not in names
        assert [tag for tag, _ in tags].count("script") == 1
        assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
        assert "onerror" in page  # As text: the names and answers are all there.
        assert "49" not in [text.strip() for text in page.split("`")]


def test_the_page_refers_to_nothing_outside_itself(recorded: tuple[Path, Path]) -> None:
    view = run_view(read(recorded[1]))
    for page in (run_page(view), compare_page(view, view)):
        for tag, attributes in Outline(page).tags:
            assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
            assert not {"src", "href", "action", "srcset"} & set(attributes), (tag, attributes)
        assert "default-src 'none'" in page


def test_the_page_holds_the_answer_the_code_the_budget_and_what_was_corrected(
    recorded: tuple[Path, Path],
) -> None:
    view = run_view(read(recorded[1]))
    assert [each.citation.path for each in view.citations] == ["src/backoff.py", EVIL_NAME]
    assert [line.text for line in view.citations[0].code] == [
        "def backoff(attempt):",
        "    return min(60, 2.0**attempt)",
    ]
    assert [len(turn.calls) for turn in view.turns] == [6, 6, 0]
    page = run_page(view)
    assert "gone.py" in page
    assert " left" in page
    assert "verified" in page


def test_a_run_of_twelve_turns_stays_below_500_kilobytes(tmp_path: Path) -> None:
    record = record_run(tmp_path, "Where is the retry delay?", turns=12)
    assert len(run_page(run_view(read(record))).encode()) < 500_000


def test_into_a_pipe_a_turn_is_one_plain_line(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {".git/HEAD": "", "a.py": "def backoff(): ...\n"})
    script = [
        calls(("Grep", '{"pattern": "backoff"}'), ("Read", '{"path": "a.py"}')),
        says("<final_answer>\na.py:1-1\n</final_answer>"),
    ]
    with serving(script) as model:
        done = fastcontext(
            tmp_path, "explore", "where?", "--repo", str(tree),
            "--endpoint", model.url,
        )  # fmt: skip
    first, second = done.stderr.splitlines()
    assert first.startswith("turn  1  grep backoff, read a.py  (")
    assert second.startswith("turn  2  wrote the answer  (")
    assert "\x1b" not in done.stderr
