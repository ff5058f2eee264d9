"""A question that names a definition gets it first; a plain one the file that is called so."""

from pathlib import Path

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer

pytestmark = pytest.mark.anyio

FILES = {
    "shop/app.py": "from .http import Request\n\n\nclass App:\n    def handle(self):\n"
    "        request = Request()\n        return Request(request, Request)\n",
    "shop/http.py": "import os\n\n\nclass Request:\n    def clone(self):\n        return self\n",
    "shop/legacy/http.py": "class Request:\n    pass\n",
    "shop/globals.py": "import os\n\ng = os.environ\n",
    "shop/routing.py": "class Router:\n    def match(self, path):\n        return path\n",
    "shop/cart.py": "class Cart:\n    def clone(self):\n        return Cart()\n",
    "shop/session.py": "TIMEOUT_S = 30\n\n\ndef load(store):\n    return store.read()\n",
    "shop/store.py": "def read_session(session):\n    # The session is kept here, for a session.\n"
    "    return session\n",
    "tests/test_http.py": "class Request:\n    pass\n\n\ndef test_it():\n    assert Request()\n",
    "docs/http.md": "# Request\n\nA Request is a request.\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


async def asked(tree: Path, question: str) -> ScoutAnswer:
    with Workspace.open(tree) as workspace:
        return await Scout(workspace).answer(question)


@pytest.mark.parametrize(
    ("question", "path", "line"),
    [
        ("Request", "shop/http.py", 4),
        ("where is Request defined?", "shop/http.py", 4),
        ("g", "shop/globals.py", 3),
        ("Cart.clone", "shop/cart.py", 2),
        ("shop.http.Request.clone()", "shop/http.py", 5),
        ("TIMEOUT_S", "shop/session.py", 1),
        ("router", "shop/routing.py", 1),
    ],
)
async def test_the_definition_of_a_name_comes_first(
    tree: Path, question: str, path: str, line: int
) -> None:
    first = (await asked(tree, question)).citations[0]
    assert first.path == path
    assert first.start <= line <= first.end


async def test_a_definition_that_stands_out_is_sure_and_one_of_two_is_not(tree: Path) -> None:
    assert (await asked(tree, "Router")).confidence == "high"
    (tree / "shop/other.py").write_text("class Router:\n    pass\n")
    assert (await asked(tree, "Router")).confidence == "medium"


async def test_a_capital_within_a_sentence_makes_a_word_a_name(tree: Path) -> None:
    found = await asked(tree, "what does the Request do")
    assert found.citations[0].path == "shop/http.py"


async def test_the_file_that_is_called_what_is_asked_for_comes_before_one_that_says_it_more(
    tree: Path,
) -> None:
    assert (await asked(tree, "how a session is loaded")).citations[0].path == "shop/session.py"


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("which tests cover the request", "tests/test_http.py"),
        ("where is the documentation of requests", "docs/http.md"),
        ("how is CI configured to run the linter", "ci/lint.yml"),
    ],
)
async def test_a_question_about_tests_documents_or_ci_finds_those(
    tree: Path, question: str, path: str
) -> None:
    (tree / "ci").mkdir()
    (tree / "ci/lint.yml").write_text("jobs:\n  lint:\n    run: ruff check\n")
    (tree / "shop/linter.py").write_text("def run_linter(code):\n    return code\n")
    assert (await asked(tree, question)).citations[0].path == path
