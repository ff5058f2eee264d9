"""Files that follow from the code: the reference, the plugin, the bundle, the registry's entry."""

import json
from pathlib import Path
from xml.etree import ElementTree

from scripts.generate import generated, stale
from scripts.picture import LIGHT, RECORDED, drawn


def test_every_generated_file_says_what_the_code_says() -> None:
    assert stale() == [], "run `python -m scripts.generate`"


def test_a_file_that_was_changed_or_is_missing_is_stale(tmp_path: Path) -> None:
    texts = generated()
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert stale(tmp_path) == []
    first, second, *_ = texts
    (tmp_path / first).write_text(texts[first] + " ")
    (tmp_path / second).unlink()
    assert stale(tmp_path) == [first, second]


def test_the_reference_names_every_command_and_its_options() -> None:
    page = generated()["docs/reference/commands.md"]
    for name in ("explore QUERY", "serve", "doctor", "engine up", "install", "view", "verify"):
        assert f"## `fastcontext {name}" in page
    assert "| `--json` |" in page
    assert "| `--no-fallback` |" in page
    assert "`auto`" in page


def test_the_picture_shows_the_recorded_answer_and_its_time() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    picture = drawn(recorded, LIGHT)
    assert len(picture) < 60_000
    rows = [
        "".join(each.itertext())
        for each in ElementTree.fromstring(picture).iter()
        if each.tag.endswith("}text")
    ]
    question, found, *lines = rows
    assert json.dumps(recorded["question"]) in question
    assert f" {recorded['seconds']:.1f} s" in found
    places = [line.split("  ") for line in lines if not line[0].isdigit() and line != "..."]
    assert f"{len(places)} places" in found
    for path, name in places:
        assert f"`{path}` `{name}`" in recorded["answer"]
    for line in lines:
        assert line == "..." or not line[0].isdigit() or line.strip() in recorded["answer"]


def test_a_picture_waits_as_long_as_the_answer_took() -> None:
    answer = "1. `a.py:1-2` `f<T>`\n```\n1 def f():\n2     return '<&'\n```\n"
    picture = drawn(
        {"repository": "a 1", "question": "f?", "seconds": 3.5, "answer": answer}, LIGHT
    )
    assert "--t:5.00s" in picture
    assert "f&lt;T&gt;" in picture
    ElementTree.fromstring(picture)
