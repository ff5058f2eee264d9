"""How large the page of a run is, how soon it can be used, and how long ``doctor`` takes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Bench, Case
from benchmarks.start import environment
from explorer.trajectory import read
from server.view.model import run_view
from server.view.page import compare_page, run_page
from tests.recorded import record_run

TURNS = 12
PHONE = {"width": 390, "height": 844}
CHROMIUM = "FASTCONTEXT_TEST_CHROMIUM"
_FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
_INTERACTIVE = "performance.getEntriesByType('navigation')[0].domInteractive"
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_DOCTOR = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from server.commands.root import main; main()"
)


def page(bench: Bench) -> list[Case]:
    """The page of a recorded run of 12 turns with 66 calls, loaded anew each time in Chromium.

    It is interactive when the document is parsed and its script has run, painted at the first
    paint with content, both counted from the start of navigation, on a desktop and at a phone's
    width. ``doctor`` is the whole command, in an environment without settings. The browser is the
    program that FASTCONTEXT_TEST_CHROMIUM names.
    """
    program = os.environ.get(CHROMIUM, "")
    if not program:
        bench.say(f"left out: {CHROMIUM} names no browser")
        return []
    home = bench.folder / "page"
    home.mkdir(exist_ok=True)
    record = record_run(home, "Where is the retry delay?", turns=TURNS)
    view = run_view(read(record))
    one, two = home / "run.html", home / "compare.html"
    one.write_text(run_page(view), encoding="utf-8")
    two.write_text(compare_page(view, view), encoding="utf-8")
    calls = sum(len(turn.calls) for turn in view.turns)
    work = f"{len(view.turns)} turns, {calls} calls"
    return [
        Case("size of the page", (one.stat().st_size / 1e6,), "MB", equal_work=work),
        *_loads(program, bench.count(20), one, two, work),
        _doctor(bench),
    ]


def _loads(program: str, count: int, one: Path, two: Path, work: str) -> list[Case]:
    from playwright.sync_api import sync_playwright

    cases: list[Case] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_FLAGS)
        for name, path, size in (
            ("run", one, {"width": 1280, "height": 900}),
            ("run, phone", one, PHONE),
            ("compared", two, {"width": 1280, "height": 900}),
        ):
            interactive, painted = [], []
            opened = browser.new_page(viewport=size)  # type: ignore[arg-type]
            for number in range(count + 1):
                opened.goto(path.as_uri())
                opened.evaluate(_TWO_FRAMES)
                if number:  # The first one starts the renderer.
                    interactive.append(float(opened.evaluate(_INTERACTIVE)))
                    painted.append(float(opened.evaluate(_PAINTED)))
            opened.close()
            cases.append(Case(f"{name}: interactive", tuple(interactive), "ms", "", work))
            cases.append(Case(f"{name}: painted", tuple(painted), "ms", "", work))
        browser.close()
    return cases


def _doctor(bench: Bench) -> Case:
    took = []
    checks = 0
    root = str(Path(__file__).parents[1])
    for number in range(bench.count(5) + 1):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-P", "-c", _DOCTOR, root, "doctor", "--json"],
            env=environment(bench.folder),
            cwd=bench.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if number:  # The first one compiles.
            took.append(1e3 * (time.perf_counter() - begun))
        checks = len(json.loads(done.stdout)["checks"])
    return Case("doctor", tuple(took), "ms", equal_work=f"{checks} checks")
