"""Records kept, listed and shown as a page."""

import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from explorer.events import LinesCited, RunFinished
from explorer.records import Citation, Excerpt, Exploration, OutlineEntry
from explorer.trajectory import TimedEvent, read
from server.view.chart import chart_of
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
    assert named.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "says"), [("7", "no run matches"), ("nothing-like-it", "no run matches")]
)
def test_a_run_that_is_not_there_is_refused_with_the_command_that_lists_them(
    recorded: tuple[Path, Path], name: str, says: str
) -> None:
    done = fastcontext(recorded[0], "view", name, "--no-open")
    assert done.returncode == 2
    assert says in done.stderr
    assert "fastcontext runs" in done.stderr


def test_without_any_record_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    assert "explore QUESTION --record" in fastcontext(tmp_path, "view", "--no-open").stderr
    listed = fastcontext(tmp_path, "runs")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "explore QUESTION --record" in listed.stderr


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
    assert "<bdi>a.py</bdi>:1-1" in (tmp_path / "p.html").read_text()


def test_the_record_ends_with_what_the_caller_was_given_and_why(
    recorded: tuple[Path, Path],
) -> None:
    last = json.loads(recorded[1].read_text().splitlines()[-1])
    assert last["event"] == "run_finished"
    assert last["result"]["confidence"] in ("high", "medium", "low")
    assert last["engine_reason"].startswith("the endpoint http://127.0.0.1:")
    page = run_page(run_view(read(recorded[1])))
    assert f"confidence <b>{last['result']['confidence']}</b>" in page
    assert f"because <b>{last['engine_reason']}</b>" in page


def test_a_run_that_fell_back_says_why_in_its_record_and_on_its_page(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree", {".git/HEAD": "", "a.py": "def retry_delay(): ...\n"})
    with serving([]) as model:
        nobody = model.url
    done = fastcontext(
        tmp_path, "explore", "retry delay", "--repo", str(root), "--endpoint", nobody,
        "--record", str(tmp_path / "runs"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "runs").iterdir()
    view = run_view(read(record))
    assert view.result is not None
    assert view.result.stop_reason == "fallback"
    assert view.engine_reason.startswith("the model failed: ")
    assert f"because <b>{view.engine_reason}" in run_page(view).replace("&#39;", "'")


def test_a_place_that_the_scout_cites_is_shown_with_its_own_lines(tmp_path: Path) -> None:
    text = "import x\n\n\n@x.keep\ndef retry_delay(attempt):\n    return 2**attempt\n"
    root = write_tree(tmp_path / "tree", {".git/HEAD": "", "a.py": text})
    explore = ["explore", "retry_delay attempt", "--repo", str(root), "--record"]
    assert fastcontext(tmp_path, *explore, str(tmp_path / "runs")).returncode == 0
    (record,) = (tmp_path / "runs").iterdir()
    (view,) = run_view(read(record)).citations
    lines = text.splitlines()
    assert (view.citation.start, view.lines_left_out) == (4, 0)
    assert [(line.number, line.text) for line in view.code] == [
        (number, lines[number - 1]) for number in range(4, 7)
    ]


def test_a_page_of_the_scout_has_no_part_that_would_be_empty(tmp_path: Path) -> None:
    note = "Next in line: b.py."
    found = Exploration("where?", "scout", "answered", "There.", (), notes=(note,))
    view = run_view([TimedEvent(0.1, RunFinished(found, "no endpoint is configured"))])
    assert (view.notes, view.corrections) == ((note,), ())
    page = run_page(view)
    assert re.findall("<h2>(.*?)</h2>", page) == ["Answer", "Notes"]
    assert "next and previous turn" not in page
    assert " turns" not in page.partition("<script>")[0].partition("<main>")[2]


def test_corrections_stand_apart_from_what_else_was_told(recorded: tuple[Path, Path]) -> None:
    events = [*read(recorded[1])]
    last = events[-1].event
    assert isinstance(last, RunFinished)
    told = replace(last.result, notes=(*last.result.notes, "An opinion."))
    view = run_view([*events[:-1], TimedEvent(9.9, replace(last, result=told))])
    assert view.notes == ("An opinion.",)
    assert any("could not be verified" in note for note in view.corrections)
    page = run_page(view)
    assert page.index("<h2>Notes</h2>") < page.index("An opinion.")
    assert page.index("An opinion.") < page.index("<h2>What was corrected, dropped or retried</h2>")


def test_evidence_without_its_lines_has_no_number_and_says_how_many_are_missing() -> None:
    place = Citation("a.py", 30, 39, evidence="class Checked:")
    found = Exploration("where?", "scout", "answered", "", (place,))
    view = run_view([TimedEvent(0.1, RunFinished(found))])
    assert (view.citations[0].code, view.citations[0].lines_left_out) == ((), 9)
    page = run_page(view)
    assert "<pre>class Checked:</pre>" in page
    assert "9 more lines are not in the record." in page


def test_a_long_place_says_how_many_of_its_lines_are_not_shown() -> None:
    place = Citation("a.py", 1, 200, evidence="x = 1")
    found = Exploration("where?", "scout", "answered", "", (place,))
    events = [LinesCited("a.py", 1, ["x = 1"] * 80), RunFinished(found)]
    view = run_view([TimedEvent(0.1, event) for event in events])
    assert len(view.citations[0].code) == 80
    assert "120 more lines are not shown." in run_page(view)


def test_what_the_answer_shows_beyond_the_first_lines_is_on_the_page_too() -> None:
    shown = (Excerpt(1, ("def f():",)), Excerpt(150, ("    return 1  # the end",)))
    found = Exploration("where?", "scout", "answered", "", (Citation("a.py", 1, 200, code=shown),))
    events = [LinesCited("a.py", 1, ["def f():", *["    x = 1"] * 79]), RunFinished(found)]
    view = run_view([TimedEvent(0.1, event) for event in events])
    assert [line.number for line in view.citations[0].code] == [*range(1, 81), 150]
    page = run_page(view)
    numbers = re.findall(r'<span class="n">([^<]+)</span>', page)
    assert numbers == [*map(str, range(1, 81)), "...", "150"]
    assert '<span class="k">return</span> <span class="m">1</span>' in page
    assert '<span class="c"># the end</span>' in page
    assert "119 more lines are not shown." in page


def test_the_outline_of_a_file_is_recorded_once_and_marks_each_place(tmp_path: Path) -> None:
    text = """class Policy:
    def delay(self, attempt):
        return 2**attempt

    def reset(self):
        self.attempt = 0
"""
    root = write_tree(tmp_path / "tree", {".git/HEAD": "", "a.py": text})
    explore = ["explore", "the delay of an attempt, and where is it reset", "--repo", str(root)]
    assert fastcontext(tmp_path, *explore, "--record", str(tmp_path / "runs")).returncode == 0
    (record,) = (tmp_path / "runs").iterdir()
    told = [each.event.outline for each in read(record) if isinstance(each.event, LinesCited)]
    whole = (
        OutlineEntry("Policy", 1, 6), OutlineEntry("delay", 2, 3, 1), OutlineEntry("reset", 5, 6, 1)
    )  # fmt: skip
    assert [tuple(outline) for outline in told if outline] == [whole]
    cited = [
        Citation("a.py", 2, 3), Citation("a.py", 5, 6), Citation("b.py", 1, 1)
    ]  # fmt: skip
    found = Exploration("where?", "scout", "answered", "", tuple(cited))
    lines = LinesCited("a.py", 2, ["    def delay(self, attempt):"], whole)
    view = run_view([TimedEvent(0.1, lines), TimedEvent(0.2, RunFinished(found))])
    assert [each.outline for each in view.citations] == [whole, whole, ()]
    marked = re.findall(r'<li class="([^"]+)"><bdi>(\w+)', run_page(view))
    assert marked == [
        ("d0 around", "Policy"), ("d1 at", "delay"), ("d1", "reset"),
        ("d0 around", "Policy"), ("d1", "delay"), ("d1 at", "reset"),
    ]  # fmt: skip


def test_a_record_of_an_earlier_version_has_no_outline_and_is_shown(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in recorded[1].read_text().splitlines()]
    outlines = [line.pop("outline", None) for line in lines]
    assert any(outlines)
    earlier = tmp_path / "earlier.jsonl"
    earlier.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = run_page(run_view(read(earlier)))
    assert '<span class="k">def</span> <span class="f">backoff</span>' in page
    assert '<nav class="outline"' not in page


def test_what_turns_text_around_is_written_as_its_number(recorded: tuple[Path, Path]) -> None:
    view = run_view(read(recorded[1]))
    for page in (run_page(view), compare_page(view, view)):
        assert "\u202e" not in page
        assert "\\u202egnp.py</bdi>" in page


HEAD = {"format": 2, "kind": "fastcontext-trajectory", "began_at": 1.0}
END = {"event": "run_finished", "at_s": 1.0, "result": {}}


@pytest.mark.parametrize(
    ("head", "result"),
    [
        ({"began_at": "yesterday"}, {}),
        ({"began_at": float("nan")}, {}),
        ({"began_at": 1e300}, {}),
        ({"began_at": [1]}, {}),
        ({}, {"citations": 5}),
        ({}, {"turns": "x"}),
        ({}, {"elapsed_s": float("inf")}),
    ],
)
def test_a_damaged_record_is_named_and_costs_the_others_nothing(
    recorded: tuple[Path, Path], tmp_path: Path, head: dict[str, Any], result: dict[str, Any]
) -> None:
    home, record = recorded
    (tmp_path / record.name).write_bytes(record.read_bytes())
    lines = [json.dumps({**HEAD, **head}), json.dumps({**END, "result": result})]
    (tmp_path / "damaged.jsonl").write_text("\n".join(lines) + "\n")
    listed = fastcontext(home, "runs", "--from", str(tmp_path))
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == 1
    assert "'damaged.jsonl' is damaged" in listed.stderr
    viewed = fastcontext(home, "view", "1", "--from", str(tmp_path), "--no-open")
    assert viewed.returncode == 0, viewed.stderr
    Path(viewed.stdout.strip()).unlink()


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"event": "note", "at_s": NaN, "turn": 1, "text": ""}',
             '{"event": "note", "at_s": 1e999, "turn": 1, "text": ""}'],
)  # fmt: skip
def test_a_line_that_no_parser_takes_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f"{json.dumps(HEAD)}\n{line}\n{json.dumps(END)}\n")
    assert fastcontext(tmp_path, "runs", "--from", str(tmp_path)).returncode == 0
    done = fastcontext(tmp_path, "view", str(path), "--no-open")
    assert done.returncode == 2
    assert "line 2 is not an event" in done.stderr


def test_half_a_pair_of_surrogates_can_be_listed_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    found = {"query": "half \ud800", "explorer": "scout", "stop_reason": "answered",
             "answer": "half \ud800", "citations": []}  # fmt: skip
    path.write_text(f"{json.dumps(HEAD)}\n{json.dumps({**END, 'result': found})}\n")
    (row,) = json.loads(fastcontext(tmp_path, "runs", "--json", "--from", str(tmp_path)).stdout)
    assert row["query"] == "half ?"
    page = tmp_path / "page.html"
    done = fastcontext(tmp_path, "view", str(path), "--output", str(page), "--no-open")
    assert done.returncode == 0, done.stderr
    assert "half \\ud800" in page.read_text()


def test_a_run_of_ages_has_no_more_marks_on_its_axis_than_another(
    recorded: tuple[Path, Path],
) -> None:
    assert len(chart_of(run_view(read(recorded[1])), total_s=1e12).ticks) <= 7


def test_the_axis_of_the_timeline_ends_with_the_last_turn(recorded: tuple[Path, Path]) -> None:
    events = read(recorded[1])
    last = events[-1].event
    assert isinstance(last, RunFinished)
    late = replace(last, result=replace(last.result, elapsed_s=1e6))
    assert chart_of(run_view([*events[:-1], TimedEvent(1e6, late)])) == chart_of(run_view(events))


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
