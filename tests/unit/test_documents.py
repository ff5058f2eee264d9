"""What README and the other documents name exists: settings, commands, options, files, links."""

import re
from pathlib import Path

import pytest
import yaml

from scripts.generate import REPOSITORY
from server.clients.table import CLIENTS
from server.settings import PREFIX, Settings
from tests.command_lines import check_page, commands, split

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "benchmarks/SCOUT.md",
    ROOT / "plugins/claude-code/README.md",
    *sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")),
]
USAGE = ROOT / "docs/reference/commands.md"
"""Made from the parser itself, in the notation of usage lines."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", page.read_text(encoding="utf-8")))
    assert {each for each in named if not each.startswith(f"{PREFIX}TEST_")} <= known


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != USAGE], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_parsers_take_every_command_that_a_page_names(page: Path) -> None:
    check_page(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "fastcontext explore where --reop .",
        "fastcontext engine upp",
        ".venv/bin/fastcontext install emacs",
        "uvx --from git+https://example.com/other fastcontext-mcp serve",
        "X=1 python -m benchmarks sprout > out.txt",
        "python -m benchmarks agent --task tasks.jsonl",
        "python3 -m venv .venv && .venv/bin/pip install '.[nothing]'",
        "cat places.json | unknown-program",
    ],
)
def test_a_command_that_its_parser_refuses_is_found(line: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_page(f"```console\n$ {line}\n```\n")


def test_the_commands_of_a_page_are_found_in_blocks_and_sentences() -> None:
    page = "Run `fastcontext doctor`, not `doctor`.\n\n```console\n$ A=1 git x < in > out  # why\n"
    page += "said\n```\n\n1. It:\n\n   ```\n   pip install . && vllm serve \\\n"
    page += "       --port 1\n   ```\n"
    assert list(commands(page)) == [
        ["git", "x"],
        ["pip", "install", "."],
        ["vllm", "serve", "--port", "1"],
        ["fastcontext", "doctor"],
    ]
    assert list(split("export A=1 B=2")) == []


@each_page
def test_every_page_and_folder_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tops = "docs|benchmarks|plugins|tests|explorer|launch|scripts|server"
    for name in re.findall(rf"`((?:{tops})/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


@each_page
def test_every_relative_link_of_a_page_leads_to_a_file_and_its_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"', text):
        path, _, anchor = "".join(link).partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor:
            heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {
                re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads
            }


@each_page
def test_what_needs_the_package_index_stands_beside_its_form_from_the_repository(
    page: Path,
) -> None:
    text = page.read_text(encoding="utf-8")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.search(r"(uvx|pip install|uv tool install)( -\w+)* '?fastcontext-mcp", line):
            beside = "\n".join(lines[max(number - 1, 0) : number + 2])
            assert f"git+{REPOSITORY}" in beside, line


def test_readme_can_be_read_at_once() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    picture = next(number for number, line in enumerate(lines) if "<picture>" in line)
    first = next(number for number, line in enumerate(lines) if line.startswith("$ "))
    # A sentence, the picture, the set-up.
    assert picture < first < 25
    assert re.search(r"\d+%", "\n".join(lines[:picture]))
    assert REPOSITORY in lines[first]


def cells(page: str, row: str) -> list[str]:
    """The cells of the row of a page that begins with these words."""
    text = (ROOT / page).read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if line.startswith(f"| {row}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_readmes_figures_are_those_of_the_pages_that_say_how_they_were_measured() -> None:
    promise = (ROOT / "README.md").read_text(encoding="utf-8").split("\n")[2]
    row = " | ".join(cells("README.md", "**fastcontext-mcp**"))
    _, hit_in_checkout = cells("docs/scout.md", "all questions: hit@1")[-1].split(" / ")
    assert f" {float(hit_in_checkout):.0f}% " in promise
    assert cells("docs/scout.md", "all questions: NDCG@10")[-1].split(" / ")[0] in row
    assert cells("docs/scout.md", "issues: hit@1, file F1")[-1].split(", ")[1] in row
    [warm_ms] = re.findall(r"/ (\d+) ms", cells("docs/measured.md", "scout on 5,000 files")[1])
    whole = cells("docs/measured.md", "`fastcontext explore` on 5,000 files")[1]
    whole_ms = int(whole.split(" ms")[0].replace(",", ""))
    assert f"{whole_ms / 1000:.1f} s, {int(warm_ms) / 1000:.2f} s" in row
    assert f" {int(warm_ms) / 1000:.2f} s " in promise


def test_every_form_for_a_report_asks_for_what_doctor_says() -> None:
    forms = [page for page in PAGES if page.suffix == ".yml"]
    assert len(forms) == 3
    for form in forms:
        asked = yaml.safe_load(form.read_text(encoding="utf-8"))["body"]
        assert any("fastcontext doctor --json" in each["attributes"]["label"] for each in asked)


def test_the_page_of_clients_names_each_with_its_files() -> None:
    text = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    for client in CLIENTS.values():
        row = next(line for line in text.splitlines() if f"| `{client.name}` |" in line)
        for file in (*client.files, client.project_file or ""):
            assert Path(file).name in row
