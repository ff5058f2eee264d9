"""What a terminal shows of an answer."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from explorer.records import Citation, Excerpt, Exploration, Link
from server.commands.terminal import coloured, path_links, takes_links
from server.exploring.report import Report, plain

ROOT = Path("/r/a b")
PLACE = Citation(
    "src/[bold]x.py",
    3,
    30,
    reason="the [red]delay",
    name="delay",
    code=(Excerpt(3, ("def delay():", "", "\u202e = '\x1b[31m'")), Excerpt(20, ('"""End."""',))),
    links=(Link("used by", "b.py", 3, "retry"),),
    part="how",
)
REPORT = Report(
    ROOT,
    "scout",
    "no endpoint is configured",
    Exploration(
        "how, and why?", "scout", "answered", "There.",
        (PLACE, Citation("c.py", 1, 2, evidence="x = 1", part="why")),
        notes=("cut",), confidence="high", further=(Citation("d.py", 1, 1),),
    ),
)  # fmt: skip


def shown(term: str = "xterm-256color", **variables: str) -> str:
    """The escape sequences and words that a terminal gets."""
    out = StringIO()
    environment = {"TERM": term, **variables}
    console = Console(file=out, force_terminal=True, _environ=environment)
    console.print(coloured(REPORT, path_links(ROOT, environment)), soft_wrap=True)
    return out.getvalue()


def test_a_terminal_shows_the_words_that_a_pipe_gets() -> None:
    assert coloured(REPORT, lambda _: "").plain == plain(REPORT)


def test_code_has_colours_unless_the_user_wants_none() -> None:
    assert "\x1b[35mdef\x1b[0m" in shown()
    assert "\x1b[31m" not in shown()  # What stands in the code is written as an escape.
    assert "\x1b[35m" not in shown(NO_COLOR="1")
    assert "\x1b" not in shown(TERM="dumb", term="dumb")


def test_a_path_is_a_link_to_its_file_where_the_terminal_takes_links() -> None:
    linked = shown(TERM_PROGRAM="vscode")
    assert linked.count("\x1b]8;") == 4  # Each of the two places begins and ends one.
    assert "/r/a%20b/src/%5Bbold%5Dx.py\x1b\\" in linked
    assert "file://" in linked
    assert "\x1b]8;" in shown(TERM_PROGRAM="vscode", NO_COLOR="1")
    assert "\x1b]8;" not in shown()


@pytest.mark.parametrize(
    "variables",
    [
        {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"},
        {"TERM": "xterm-kitty"},
        {"TERM": "xterm-256color", "VTE_VERSION": "7600"},
        {"TERM": "xterm-256color", "WT_SESSION": "x"},
        {"TERM": "foot-extra"},
    ],
)
def test_terminals_that_take_links_are_known(variables: dict[str, str]) -> None:
    assert takes_links(variables)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TERM": "xterm-256color"},
        {"TERM": "dumb", "VTE_VERSION": "7600"},
        {"TERM": "linux"},
        {"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"},
        {"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"},
        {"TERM": "xterm-256color", "VTE_VERSION": "4601"},
    ],
)
def test_other_terminals_get_no_links(variables: dict[str, str]) -> None:
    assert not takes_links(variables)
