"""The page of a real run in a real browser."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from explorer.records import Citation, Excerpt, Exploration, Link, OutlineEntry
from explorer.trajectory import read
from server.exploring.report import Report, to_object
from server.view.answer import extras
from server.view.model import run_view
from server.view.page import app_page, compare_page, run_page
from tests.external import CHROMIUM, external
from tests.recorded import EVIL, EVIL_NAME, record_run

pytestmark = pytest.mark.timeout(150)

FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
]
PHONE: ViewportSize = {"width": 390, "height": 844}
WIDE: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The page of a run of 12 turns, and the page of two runs."""
    home = tmp_path_factory.mktemp("home")
    long = run_view(read(record_run(home, f"Where is the retry delay? {EVIL}", turns=12)))
    short = run_view(read(record_run(home, "Where is the backoff?", turns=2)))
    (home / "run.html").write_text(run_page(long), encoding="utf-8")
    (home / "compare.html").write_text(compare_page(long, short), encoding="utf-8")
    return home / "run.html", home / "compare.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = external(CHROMIUM)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(program), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test for any request, error or message of its own."""
    wrong: list[str] = []
    context = browser.new_context()
    opened = context.new_page()
    opened.on("request", lambda r: r.url.startswith("file:") or wrong.append(r.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("dialog", lambda dialog: wrong.append(dialog.message))
    yield opened
    context.close()
    assert wrong == []


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot where the environment asks for them."""
    if folder := os.environ.get("FASTCONTEXT_TEST_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_turns_and_calls_fold_by_mouse_and_keys(page: Page, pages: tuple[Path, Path]) -> None:
    page.goto(pages[0].as_uri())
    turns = page.locator("details.turn")
    assert turns.count() == 12
    assert page.locator("details.turn[open]").count() == 0
    turns.nth(1).locator("> summary").click()
    call = turns.nth(1).locator("details.call").first
    call.locator("summary").click()
    assert call.locator("pre").last.is_visible()
    shoot(page, "run-unfolded")
    page.keyboard.press("e")
    assert page.locator("details:not([open])").count() == 0
    page.keyboard.press("c")
    assert page.locator("details[open]").count() == 0
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.locator("details.turn[open]").count() == 1


def test_words_and_kinds_filter_what_is_shown(page: Page, pages: tuple[Path, Path]) -> None:
    page.goto(pages[0].as_uri())
    page.keyboard.press("/")
    page.keyboard.type("retry_7|backoff")
    assert page.locator("details.turn:visible").count() == 1
    assert page.locator("details.call:visible").count() == 1
    shoot(page, "run-filtered")
    page.keyboard.press("Escape")
    assert page.locator("details.turn:visible").count() == 12
    page.keyboard.press("e")
    page.locator("input[data-kind=read]").uncheck()
    assert page.locator("details.call[data-kind=read]:visible").count() == 0
    assert page.locator("details.call[data-kind=grep]:visible").count() == 11


def test_light_and_dark_follow_the_machine_and_the_button(
    page: Page, pages: tuple[Path, Path]
) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(pages[0].as_uri())
    light = background(page)
    shoot(page, "run-light")
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert light != dark
    shoot(page, "run-dark")
    page.locator("#theme").click()
    assert background(page) == light


def test_nothing_hostile_runs_or_becomes_an_element(page: Page, pages: tuple[Path, Path]) -> None:
    for path in pages:
        page.goto(path.as_uri())
        page.keyboard.press("e")
        assert page.locator("img").count() == 0
        assert page.title() not in {"1", "2"}
        assert EVIL in page.inner_text("main")


def test_a_phone_shows_it_without_scrolling_sideways(page: Page, pages: tuple[Path, Path]) -> None:
    page.set_viewport_size(PHONE)
    for path, name in zip(pages, ("phone-run", "phone-compare"), strict=True):
        page.goto(path.as_uri())
        page.keyboard.press("e")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        page.keyboard.press("c")
        shoot(page, name)


def show(page: Page, folder: Path, facts: dict[str, object], meta: object = None) -> None:
    """Open the client's view in a page and send it an answer."""
    (folder / "answer.html").write_text(app_page(), encoding="utf-8")
    page.goto((folder / "answer.html").as_uri())
    found = {
        "query": "where?", "engine": "scout", "engine_reason": "no endpoint is configured",
        "stop_reason": "answered", "answer": "It is there.", "confidence": "medium",
        "turns": 0, "tool_calls": 0, "elapsed_s": 0.1, "notes": ["cut"], **facts,
    }  # fmt: skip
    # A page that is nobody's child is its own parent, from whom it takes messages.
    page.evaluate(
        "params => postMessage({jsonrpc: '2.0', method: 'ui/notifications/tool-result', "
        "params}, '*')",
        {"structuredContent": found, **({"_meta": meta} if meta else {})},
    )
    page.locator("details.citation").first.wait_for()


def test_a_client_s_view_shows_what_the_tool_gave_back(page: Page, tmp_path: Path) -> None:
    place = {"path": f"src/{EVIL_NAME}", "start": 4, "end": 9, "evidence": EVIL}
    show(page, tmp_path, {"citations": [place]})
    facts = page.inner_text("#facts")
    assert "because no endpoint is configured" in facts
    assert "confidence medium" in facts
    shown = page.inner_text("details.citation summary code")
    assert shown == f"src/{EVIL_NAME}:4-9".replace("\u202e", "\\u202e")
    assert page.inner_text("details.citation pre") == EVIL
    assert page.locator("img").count() == 0
    shoot(page, "answer")


def code_rows(page: Page) -> list[str]:
    """Each line of code with its number, as it is seen."""
    rows = page.locator("details.citation pre .row").all()
    return [" ".join(each.locator("> span").all_inner_texts()).rstrip() for each in rows]


def test_a_client_s_view_shows_code_in_colours_beside_the_outline(
    page: Page, tmp_path: Path
) -> None:
    lines = ["def retry():", f'    return "{EVIL}"', "    # \u202e \U0001f40d and more"]
    report = Report(
        tmp_path,
        "scout",
        "no endpoint is configured",
        Exploration(
            "where?", "scout", "answered", "There.",
            (Citation(EVIL_NAME, 4, 20, name="retry", code=(Excerpt(4, (lines[0],)),
             Excerpt(9, tuple(lines[1:]))), links=(Link("used by", "b.py", 3, EVIL),)),),
        ),
        {EVIL_NAME: tuple(OutlineEntry(f"f_{n} {EVIL}", n, n, n % 3) for n in range(1, 60))},
    )  # fmt: skip
    facts = to_object(report)
    meta = {"fastcontext": extras(facts, report.outlines)}
    page.set_viewport_size(WIDE)
    show(page, tmp_path, facts, meta)
    assert code_rows(page) == [
        "4 def retry():", "...", f'9     return "{EVIL}"',
        "10     # \\u202e \U0001f40d and more", "...",
    ]  # fmt: skip
    assert page.locator("pre .k").all_inner_texts() == ["def", "return"]
    assert page.locator("pre .s").first.inner_text() == '"<img src=x onerror="'
    assert page.locator("pre .c").inner_text() == "# \\u202e \U0001f40d and more"
    assert EVIL in page.inner_text("details.citation ul")
    assert page.locator("img").count() == 0
    assert page.locator(".outline .at").count() == 17
    check_outline(page)
    shoot(page, "answer-code")
    # Without what is sent for the view alone, as where a host drops it.
    show(page, tmp_path, facts)
    assert len(code_rows(page)) == 5
    assert page.locator("pre .k, .outline").count() == 0


def check_outline(page: Page) -> None:
    """It stands beside the code where there is room and below it elsewhere, the place in sight."""
    first = page.locator("details.citation[open]").first
    for size, is_beside in ((WIDE, True), (PHONE, False)):
        page.set_viewport_size(size)
        code, outline = first.locator(".code").bounding_box(), first.locator("nav").bounding_box()
        assert code is not None
        assert outline is not None
        assert (code["x"] + code["width"] <= outline["x"]) is is_beside
        assert (code["y"] + code["height"] <= outline["y"]) is not is_beside
    page.set_viewport_size(WIDE)
    seen, place = first.locator("nav").bounding_box(), first.locator(".at").first.bounding_box()
    assert seen is not None
    assert place is not None
    assert seen["y"] <= place["y"] <= seen["y"] + seen["height"]


def test_the_code_has_colours_that_can_be_read_and_the_outline_shows_where_it_is(
    page: Page, pages: tuple[Path, Path]
) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(pages[0].as_uri())
        for kind in ("k", "f", "m", "n"):
            assert contrast(page, f"details.citation pre .{kind}") >= 4.5
    assert page.locator("details.citation pre .s").first.inner_text() == '"<img src=x onerror="'
    assert page.locator("details.citation pre .k").all_inner_texts()[:2] == ["def", "return"]
    check_outline(page)


def contrast(page: Page, selector: str) -> float:
    """The ratio of WCAG 2 between a text and what it stands on, 1 to 21."""
    return float(
        page.locator(selector).first.evaluate(
            """element => {
              const light = (colour) => {
                const [r, g, b] = colour.match(/\\d+/g).slice(0, 3).map((each) => each / 255)
                  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const own = light(getComputedStyle(element).color);
              const below = light(getComputedStyle(element.closest("pre")).backgroundColor);
              return (Math.max(own, below) + 0.05) / (Math.min(own, below) + 0.05);
            }"""
        )
    )


def test_two_runs_stand_side_by_side(page: Page, pages: tuple[Path, Path]) -> None:
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(pages[1].as_uri())
    left, right = (page.locator(".side > section").nth(index).bounding_box() for index in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert "The right run asked another question" in page.inner_text("main")
    shoot(page, "compare")


def test_twelve_turns_are_a_small_page_that_is_there_at_once(
    page: Page, pages: tuple[Path, Path]
) -> None:
    assert pages[0].stat().st_size <= 500_000
    page.goto(pages[0].as_uri())
    page.reload()
    interactive = page.evaluate(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert interactive > 0
    if folder := os.environ.get("FASTCONTEXT_TEST_SCREENSHOTS"):
        Path(folder, "interactive-ms.txt").write_text(f"{interactive:.1f}\n")
