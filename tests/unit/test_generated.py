"""Files that follow from the code: the reference, the plugin, the bundle, the registry's entry."""

from pathlib import Path

from scripts.generate import generated, stale


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
