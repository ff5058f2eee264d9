"""What a client's view shows of an answer besides the facts: colours of code, outlines of files."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.records import OutlineEntry
from server.view.highlight import pieces


def extras(
    facts: Mapping[str, Any], outlines: Mapping[str, Sequence[OutlineEntry]]
) -> dict[str, Any]:
    """As JSON types: ``colours`` of each place's code, ``outlines`` of the files of code by path.

    ``facts`` are those of ``server.exploring.report``. A line's colours are the kinds and lengths
    of its pieces, such as ``k3_1f8``; ``_`` stands for no colour.
    """
    shown = {each["path"] for each in facts["citations"] if each["code"]}
    return {
        "colours": [
            [_colours(each["path"], excerpt["lines"]) for excerpt in each["code"]]
            for each in facts["citations"]
        ],
        "outlines": {
            path: [dataclasses.asdict(entry) for entry in outline]
            for path, outline in outlines.items()
            if path in shown
        },
    }


def _colours(path: str, lines: Sequence[str]) -> list[str]:
    return [
        "".join(f"{kind or '_'}{len(text)}" for kind, text in line) for line in pieces(path, lines)
    ]
