"""A question that names a definition gets it first; a plain one the file that is called so."""

from pathlib import Path

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer
from explorer.scout.candidates import candidates
from explorer.scout.index import RepositoryIndex
from explorer.scout.literal import literals_of
from explorer.scout.query import parse_query
from tests.tooling import write_tree

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


async def test_a_template_comes_before_its_specializations(tmp_path: Path) -> None:
    special = "".join(
        f"template <typename T>\nstruct formatter<{each}<T>> {{\n  formatter() {{}}\n}};\n"
        for each in ("range", "tuple", "formatter")
    )
    write_tree(
        tmp_path,
        {
            "format/ranges.h": special,
            "format/base.h": "template <typename T>\nstruct formatter {\n  int value;\n};\n",
        },
    )
    first = (await asked(tmp_path, "formatter")).citations[0]
    assert (first.path, first.start) == ("format/base.h", 1)


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


MORE = {
    "src/pool.c": "static struct entry *take(struct pool *);\n\nstatic struct entry *\n"
    "take(struct pool *pool)\n{\n\treturn pool->first;\n}\n",
    "src/pool.h": "enum pool_state {\n\tEMPTY\n};\nenum pool_state next(struct pool *);\n",
    "src/next.c": "enum pool_state\nnext(struct pool *pool)\n{\n\treturn EMPTY;\n}\n",
    "lib/Handler.php": "<?php\nclass Handler\n{\n    private $factory;\n\n"
    "    function run()\n    {\n        $factory = 1;\n    }\n}\n",
    "lib/hash.rb": "class Hash\n  def merge!(other)\n  end\n\n  def merge(other)\n  end\nend\n",
    "lib/list.rb": "class List\n  # As in Hash.\n  def merge(other)\n  end\nend\n",
    "src/Package/Package.java": "class Package {\n  void seal() {\n  }\n}\n",
    "src/Package/AliasPackage.java": "class AliasPackage {\n  void seal() {\n  }\n}\n",
    "src/Box.java": "interface Box {\n  void fill();\n}\n",
    "src/PaperBox.java": "class PaperBox implements Box {\n  void fill() {\n  }\n}\n",
    "api/kv.go": "package api\n\ntype (\n\tPutReply pb.PutReply\n)\n\ntype Store interface {\n"
    "\tPut(key string) PutReply\n}\n",
    "api/Timer.java": "class Timer {\n  private long start;\n\n"
    "  Timer(long s) {\n    start = s;\n  }\n}\n",
    "Makefile": "all: lint\n\nlint: src\n\truff check\n",
    "package.json": '{\n  "scripts": {\n    "lint": "eslint ."\n  }\n}\n',
    "cli/main.py": "def parse(parser):\n    if parser.has_option('--dry-run'):\n        return\n"
    "    parser.add_argument(\n        '--dry-run',\n        action='store_true',\n    )\n",
    "cli/run.go": "package cli\n\nfunc run(c *Command) {\n"
    '\tc.Flags().BoolVar(&v, "keep-going", false)\n}\n',
    "db/schema.sql": "CREATE TABLE IF NOT EXISTS orders (\n  id int\n);\n",
}


@pytest.mark.parametrize(
    ("question", "path", "line"),
    [
        ("take()", "src/pool.c", 4),
        ("what does pool_state do?", "src/pool.h", 1),
        ("how does $factory work?", "lib/Handler.php", 4),
        ("Hash.merge", "lib/hash.rb", 5),
        ("what does merge! do?", "lib/hash.rb", 2),
        ("List.merge", "lib/list.rb", 3),
        ("Package.seal", "src/Package/Package.java", 2),
        ("what does Box.fill do?", "src/Box.java", 2),
        ("fill()", "src/PaperBox.java", 2),
        ("PutReply", "api/kv.go", 4),
        ("Timer", "api/Timer.java", 1),
        ("what does make lint do?", "Makefile", 3),
        ("where is the make target lint defined?", "Makefile", 3),
        ("npm run lint", "package.json", 3),
        ("--dry-run", "cli/main.py", 5),
        ("where is the --dry-run flag defined?", "cli/main.py", 5),
        ("where is the keep-going flag defined?", "cli/run.go", 4),
        ("where is the orders table created?", "db/schema.sql", 1),
    ],
)
async def test_a_definition_comes_before_what_only_looks_like_one(
    tmp_path: Path, question: str, path: str, line: int
) -> None:
    first = (await asked(write_tree(tmp_path, MORE), question)).citations[0]
    assert first.path == path
    assert first.start <= line <= first.end


@pytest.mark.parametrize(
    "question",
    [
        "how is it decided to switch the run?",
        "which switch ends the dry run?",
        "where does the runner flag a dry run?",
        "how do users switch the run off?",
    ],
)
def test_a_verb_is_no_option_of_a_command_line(question: str) -> None:
    assert literals_of(parse_query(question)) == ()


async def test_a_file_for_windows_comes_behind_its_twin_for_unix(tmp_path: Path) -> None:
    code = "/* Accept a connection. */\nint tcp_accept(int fd)\n{\n\treturn accept(fd);\n}\n"
    files = {"src/unix/tcp.c": code, "src/win/tcp.c": code * 3, "src/loop.c": "int loop;\n"}
    tree = write_tree(tmp_path, files)
    for question in ("how are connections accepted", "tcp_accept"):
        assert (await asked(tree, question)).citations[0].path == "src/unix/tcp.c"
    on_windows = await asked(tree, "how are connections accepted on windows")
    assert on_windows.citations[0].path == "src/win/tcp.c"


async def test_files_that_are_seldom_meant_count_less_unless_the_question_names_them(
    tmp_path: Path,
) -> None:
    paths = ("src/v1/union.ts", "src/v2/union.ts", "src/win/union.ts", "src/union.min.js")
    tree = write_tree(tmp_path, dict.fromkeys(paths, "export const parseUnion = 1;\n"))
    with Workspace.open(tree) as workspace:
        index = RepositoryIndex(workspace, None)
        index.find_pending(await workspace.files())
        index.index_pending(lambda: False)

        def less(question: str) -> set[str]:
            found = candidates(index, parse_query(question), index.rows)
            assert found is not None
            gains = zip(found.paths, found.gains.tolist(), strict=True)
            return {path for path, gain in gains if gain < 1}

        assert less("how is a union parsed?") == {paths[0], *paths[2:]}
        assert less("how is a union parsed in v1 on windows?") == {paths[3]}
        assert less("parse the union\n\nIt was left out.") == {paths[3]}


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("what happens on SIGHUP?", "handle_hup"),
        ("how does a worker say that it is alive?", "heartbeat"),
    ],
)
async def test_a_word_of_the_question_may_have_another_in_the_code(
    tmp_path: Path, question: str, name: str
) -> None:
    names = ("handle_hup", "handle_usr1", "no_content", "heartbeat", "spawn")
    text = "".join(f"def {each}(worker):\n    worker.x()\n    worker.y()\n\n\n" for each in names)
    tree = write_tree(tmp_path, {"arbiter.py": f"# On SIGHUP, alive workers.\n\n{text}"})
    assert (await asked(tree, question)).citations[0].name == name
