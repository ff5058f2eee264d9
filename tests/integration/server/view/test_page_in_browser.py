"""The page of a real run in a real browser."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from explorer.trajectory import read
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
PHONE = {"width": 390, "height": 844}


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
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path, name in zip(pages, ("phone-run", "phone-compare"), strict=True):
        page.goto(path.as_uri())
        page.keyboard.press("e")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        page.keyboard.press("c")
        shoot(page, name)


def test_a_client_s_view_shows_what_the_tool_gave_back(page: Page, tmp_path: Path) -> None:
    (tmp_path / "answer.html").write_text(app_page(), encoding="utf-8")
    page.goto((tmp_path / "answer.html").as_uri())
    place = {"path": f"src/{EVIL_NAME}", "start": 4, "end": 9, "evidence": EVIL}
    found = {
        "query": "where?", "engine": "scout", "engine_reason": "no endpoint is configured",
        "stop_reason": "answered", "answer": "It is there.", "confidence": "medium",
        "citations": [place], "turns": 0, "tool_calls": 0, "elapsed_s": 0.1, "notes": ["cut"],
    }  # fmt: skip
    # A page that is nobody's child is its own parent, from whom it takes messages.
    page.evaluate(
        "content => postMessage({jsonrpc: '2.0', method: 'ui/notifications/tool-result', "
        "params: {structuredContent: content}}, '*')",
        found,
    )
    page.locator("details.citation").wait_for()
    facts = page.inner_text("#facts")
    assert "because no endpoint is configured" in facts
    assert "confidence medium" in facts
    shown = page.inner_text("details.citation summary code")
    assert shown == f"src/{EVIL_NAME}:4-9".replace("\u202e", "\\u202e")
    assert page.locator("img").count() == 0
    shoot(page, "answer")


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
