"""The benchmarks of questions, issues and how-questions on small trees."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import questions
from tests.tooling import clone_of

CODE = (
    "class Cart:\n    def total(self, items):\n        return sum(items)\n\n\n"
    "# Half of it.\n@cached\ndef discount(total):\n    return total / 2\n"
)


@pytest.fixture
def mirror(tmp_path: Path) -> tuple[Path, str]:
    """A bare clone of one commit, and the commit."""
    ship = "def ship(order):\n    order.state = 'shipped'\n"
    commit = clone_of({"src/cart.py": CODE, "ship.py": ship}, tmp_path)
    return tmp_path / "mirror", commit


def asked(kind: str, tasks: list[dict[str, Any]], mirror: Path, folder: Path, *more: str) -> None:
    (folder / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    (folder / "trees").mkdir(exist_ok=True)
    clones = () if kind == "how" else ("--mirror", str(mirror), "--trees", str(folder / "trees"))
    into = ("--into", str(folder / "into"))
    assert questions.run(kind, ["--tasks", str(folder / "tasks.jsonl"), *clones, *into, *more]) == 0


def question(commit: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "shop-0", "slug": "o/shop", "revision": commit, "root": "src", "kind": "symbol",
        "query": "discount", "relevant": [{"path": "src/cart.py"}], "secondary": [],
    } | more  # fmt: skip


def rows(folder: Path, name: str = "scout") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"into/{name}.jsonl").read_text().splitlines()]


def test_questions_are_asked_about_the_source_folder_and_the_checkout(
    mirror: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked("questions", [question(mirror[1])], mirror[0], tmp_path)
    printed = capsys.readouterr().out

    assert [row["citations"][0]["path"] for row in rows(tmp_path)] == ["cart.py", "src/cart.py"]
    assert [row["scope"] for row in rows(tmp_path, "floor")] == ["root", "whole"]
    assert printed.count("scout minus floor") == 2


def test_a_run_goes_on_where_another_stopped_and_compares_itself_with_one(
    mirror: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--no-floor", "--scope", "whole")
    asked("questions", [question(mirror[1])], mirror[0], tmp_path, *more)
    second = question(mirror[1], id="shop-1", query="where orders are shipped")
    before = ("--against", str(tmp_path / "into"))
    asked("questions", [question(mirror[1]), second], mirror[0], tmp_path, *more, *before)

    assert [row["id"] for row in rows(tmp_path)] == ["shop-0", "shop-1"]
    assert "scout minus scout before" in capsys.readouterr().out


def test_an_issue_is_scored_by_the_innermost_functions_that_cited_lines_lie_in(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cart.py"
    path.write_text(CODE)

    assert questions.names_at(path, 3, 4) == ({"Cart.total"}, {"Cart"})
    assert questions.names_at(path, 1, 1) == (set(), {"Cart"})
    assert questions.names_at(path, 7, 7) == ({"discount"}, {"discount"})
    assert questions.names_at(tmp_path / "none.py", 1, 9) == (set(), set())


def test_issues_keep_functions_and_modules_beside_the_citations(
    mirror: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {
        "id": "shop-2", "repo": "o/shop", "base_commit": mirror[1], "date": "2026-01-01",
        "query": "The discount is too large", "files": {"src/cart.py": [[6, 9]]},
        "functions": ["src/cart.py:discount"], "modules": ["src/cart.py:discount"],
    }  # fmt: skip
    asked("issues", [task], mirror[0], tmp_path, "--no-floor")

    assert "src/cart.py:discount" in rows(tmp_path)[0]["functions"]
    assert "function F1" in capsys.readouterr().out


def test_definitions_that_answer_are_found_again_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "site/shop_for_tests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cart.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    gold = {"path": "cart.py", "name": "discount", "start": 90, "end": 99}
    task = {
        "id": "how-0", "package": "shop_for_tests", "query": "how is the discount computed?",
        "names": ["discount"], "gold": [gold],
    }  # fmt: skip
    asked("how", [task], tmp_path, tmp_path, "--no-floor")

    assert rows(tmp_path)[0]["gold"] == [{"path": "cart.py", "start": 6, "end": 9, "head": 8}]
    assert "first 3" in capsys.readouterr().out
