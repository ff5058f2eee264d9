"""The picture at the top of README: ``python -m scripts.picture REPOSITORY QUESTION``.

Asks the real server over stdio, as a client does, and keeps what came back in
docs/assets/recorded.json; ``python -m scripts.generate`` draws it. REPOSITORY is the folder of an
installed library. The question is asked after another one, since most questions of an agent come
when the repository is known.
"""

import html
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String

RECORDED = Path(__file__).parents[1] / "docs/assets/recorded.json"
_COLUMNS, _LINE_PX, _CHARACTER_PX, _MARGIN_PX = 92, 18, 7.83, 18
"""A character of 13 px is 7.83 px wide in the fonts named below, and in none of them wider."""
_FIRST_SHOWN, _OTHERS_SHOWN = 7, 3
"""Lines of code that are drawn of the first place and of each further one."""
_TYPED_S, _BETWEEN_S = 1.5, 0.15
"""How long the question takes to appear, and what lies between two places."""
_KINDS = ((Keyword, "k"), (Name.Function, "n"), (Name.Class, "n"), (String, "s"),
          (Number, "s"), (Comment, "q"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of a picture, as CSS writes them."""

    back: str
    frame: str
    text: str
    quiet: str
    place: str
    keyword: str
    string: str
    name: str


LIGHT = Palette("#fff", "#d0d7de", "#1f2328", "#636c76", "#0969da", "#cf222e", "#0a3069", "#8250df")
DARK = Palette(
    "#0d1117", "#30363d", "#e6edf3", "#8d96a0", "#58a6ff", "#ff7b72", "#a5d6ff", "#d2a8ff"
)


def pictures() -> dict[str, str]:
    """Path relative to the repository -> SVG, in light and in dark."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    return {
        f"docs/assets/answer-{name}.svg": drawn(recorded, colours)
        for name, colours in (("light", LIGHT), ("dark", DARK))
    }


def drawn(recorded: dict[str, Any], colours: Palette) -> str:
    """The SVG: the question is typed, and the places come after the seconds that they took."""
    call = f"explore_repository({json.dumps(recorded['question'])})"
    places = list(_places(recorded["answer"]))
    texts: list[str] = []
    y = _MARGIN_PX + 13
    for after_s, markup in _rows(call, places, recorded):
        if markup:
            begins = f' style="--t:{after_s:.2f}s"' if after_s else ""
            texts.append(f'<text x="{_MARGIN_PX}" y="{y}"{begins}>{markup}</text>')
        y += _LINE_PX if markup else _LINE_PX // 2
    width, height = round(_COLUMNS * _CHARACTER_PX) + 2 * _MARGIN_PX, y + _MARGIN_PX - 13
    typed = len(call) + 1
    cover = f'<rect class="c" x="{_MARGIN_PX + 7 * _CHARACTER_PX:.0f}" y="{_MARGIN_PX}" '
    cover += f'width="{typed * _CHARACTER_PX:.0f}" height="{_LINE_PX}"/>'
    title = f"An agent asks where code is, and gets {len(places)} places with their code"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" role="img" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"><title>{title}</title>'
        f"<style>{_style(colours, typed)}</style>"
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" '
        f'fill="{colours.back}" stroke="{colours.frame}"/>\n'
        + "\n".join([*texts, cover])
        + "</svg>\n"
    )


def _rows(
    call: str, places: list[tuple[str, str, list[str]]], recorded: dict[str, Any]
) -> Iterator[tuple[float, str]]:
    """When each row comes, in seconds, and its markup; an empty one is a gap."""
    seconds = recorded["seconds"]
    found = f"{recorded['repository']}: {len(places)} places with their code, {seconds:.1f} s"
    yield 0, f'<tspan class="q">agent</tspan>  {_escaped(call)}'
    yield _TYPED_S + seconds, f'<tspan class="q">       {_escaped(found)}</tspan>'
    for number, (path, name, lines) in enumerate(places):
        after_s = _TYPED_S + seconds + number * _BETWEEN_S
        yield after_s, ""
        shown = f'<tspan class="p">{_escaped(path)}</tspan>'
        yield after_s, f'{shown}  <tspan class="b">{_escaped(name)}</tspan>'
        for line in lines:
            yield after_s, _coloured(line)


def _style(colours: Palette, typed: int) -> str:
    """Everything is there at once for whoever asks for less motion."""
    fonts = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    return (
        f"text{{font:13px {fonts};fill:{colours.text};white-space:pre}}"
        f".q{{fill:{colours.quiet}}}.p{{fill:{colours.place}}}.b{{font-weight:600}}"
        f".k{{fill:{colours.keyword}}}.s{{fill:{colours.string}}}.n{{fill:{colours.name}}}"
        f".c{{fill:{colours.back};opacity:0;transform-box:fill-box;transform-origin:right}}"
        "@media(prefers-reduced-motion:no-preference){"
        "text[style]{animation:come .3s var(--t) both}"
        f".c{{animation:type {_TYPED_S}s steps({typed}) both}}}}"
        "@keyframes come{from{opacity:0}}"
        "@keyframes type{from{opacity:1}99%{opacity:1}"
        "to{opacity:0;transform:scaleX(0)}}"
    )


def _places(answer: str) -> Iterator[tuple[str, str, list[str]]]:
    """Range, name and drawn lines of each place of an answer that has its code."""
    lines = iter(answer.splitlines())
    head = ""
    most = _FIRST_SHOWN
    for line in lines:
        if line.startswith("```"):
            path, _, name = head.partition(" ")[2].replace("`", "").partition(" ")
            yield path, name, _cut(list(iter(lines.__next__, line)), most)
            most = _OTHERS_SHOWN
        head = line


def _cut(code: list[str], most: int) -> list[str]:
    kept = [line[:_COLUMNS] for line in code[:most]]
    return [*kept, "..."] if len(code) > most else kept


def _coloured(line: str) -> str:
    number, _, code = line.partition(" ")
    if not number.isdigit():
        return f'<tspan class="q">{_escaped(line)}</tspan>'
    spans = [f'<tspan class="q">{number}</tspan> ']
    for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(code):
        name = next((name for parent, name in _KINDS if kind in parent), "")
        shown = _escaped(text)
        spans.append(f'<tspan class="{name}">{shown}</tspan>' if name else shown)
    return "".join(spans)


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


async def record(repository: Path, question: str) -> dict[str, Any]:
    """The answer's text and seconds, from the question on its way to the answer's arrival."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command = ["-I", "-m", "server.main"]
    server = StdioServerParameters(
        command=sys.executable, args=command, env={**os.environ, "FASTCONTEXT_ENGINE": "scout"}
    )
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        for query in ("Where is the version?", question):
            began = time.monotonic()
            arguments = {"query": query, "path": str(repository)}
            answered = await session.call_tool("explore_repository", arguments)
            seconds = time.monotonic() - began
    [content] = answered.content
    return {"question": question, "seconds": round(seconds, 2), "answer": content.text}


def main() -> None:
    """Record the answer about the library that is installed in the folder."""
    folder, question = Path(sys.argv[1]).resolve(), sys.argv[2]
    [told] = folder.parent.glob(f"{folder.name}-*.dist-info")
    library = told.name.removesuffix(".dist-info").replace("-", " ")
    kept = {"repository": library} | anyio.run(record, folder, question)
    # Where it lay on this machine is nobody's business.
    kept["answer"] = kept["answer"].replace(str(folder), folder.name)
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
