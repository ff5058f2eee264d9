"""Whether prompt-lookup speculation pays: replayed over recorded explorations, without a GPU.

    python -m benchmarks.speculation [--tokenizer tokenizer.json] [--out ROWS.jsonl] RECORD...

RECORDs are the files that ``FASTCONTEXT_RECORD_DIR`` collects. For each turn the drafts of vLLM's
n-gram proposer are made (of 4 to 2 tokens the longest n-gram that ends the text, at the first place
where it occurs; the 8 tokens that follow there) and compared with what the model wrote next.

A row has, for each record and for all: tokens written; the share of them in n-grams of 4 that occur
earlier in the context; the share that was drafted and right; tokens for each pass of the model; and
the resulting speed. A pass that checks 8 drafted tokens costs more than one that writes a single
token: as measured on one H200 in FP8, where all drafted tokens were right (9 tokens a pass), 1.73
times as much for one stream (5.2x the speed) and 4.7 times for 16 (1.9x).

Without a tokenizer a token is a piece of a word of at most 4 letters or digits, or one other
character; real tokens are longer, so the shares come out a little too high.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.events import RunStarted, TurnFinished, TurnStarted
from explorer.trajectory import read
from launch.plan.flags import SPECULATION

LONGEST = int(str(SPECULATION["prompt_lookup_max"]))
SHORTEST = int(str(SPECULATION["prompt_lookup_min"]))
DRAFT = int(str(SPECULATION["num_speculative_tokens"]))
PASS_COST = {1: (DRAFT + 1) / 5.2, 16: (DRAFT + 1) / 1.9}
"""The cost of a pass over a draft by the number of streams, in passes that write one token."""

Split = Callable[[str], list[Any]]


@dataclass(slots=True)
class Count:
    """What became of the tokens of some turns."""

    turns: int = 0
    written: int = 0
    repeated: int = 0
    """Written tokens at the end of an n-gram that is earlier in the context."""
    drafted: int = 0
    accepted: int = 0
    passes: int = 0
    checks: int = 0
    """Passes with a draft."""

    def add(self, other: "Count") -> None:
        """Take another count into this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self, name: str) -> dict[str, Any]:
        """The count as a row."""
        speed = {
            f"speed_{streams}_streams": round(
                self.written / (self.passes - self.checks + cost * self.checks), 2
            )
            for streams, cost in PASS_COST.items()
        }
        return {
            "record": name,
            "turns": self.turns,
            "written": self.written,
            "stood_before": round(self.repeated / self.written, 3),
            "accepted_of_written": round(self.accepted / self.written, 3),
            "accepted_of_drafted": round(self.accepted / max(1, self.drafted), 3),
            "tokens_a_pass": round(self.written / self.passes, 2),
            **speed,
        }


class Context:
    """Tokens so far, and where each short n-gram of them stands first."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self._first: dict[tuple[Any, ...], int] = {}

    def extend(self, tokens: Sequence[Any]) -> None:
        """Append tokens."""
        for token in tokens:
            self.tokens.append(token)
            end = len(self.tokens)
            for size in range(SHORTEST, LONGEST + 1):
                if size <= end:
                    self._first.setdefault(tuple(self.tokens[end - size :]), end)

    def draft(self) -> list[Any]:
        """The tokens that prompt lookup proposes next."""
        end = len(self.tokens)
        for size in range(min(LONGEST, end), SHORTEST - 1, -1):
            after = self._first.get(tuple(self.tokens[end - size :]), end)
            if after < end:
                return self.tokens[after : after + DRAFT]
        return []

    def has(self, gram: tuple[Any, ...]) -> bool:
        """Whether an n-gram stands in the text."""
        return gram in self._first


def count_turn(context: Context, written: Sequence[Any]) -> Count:
    """The effect of drafting on one turn, whose tokens are added to the context."""
    found = Count(turns=1, written=len(written))
    before = [*context.tokens[-(LONGEST - 1) :], *written]
    offset = len(before) - len(written)
    for place in range(offset, len(before)):
        gram = tuple(before[max(0, place - LONGEST + 1) : place + 1])
        found.repeated += len(gram) == LONGEST and context.has(gram)
    place = 0
    while place < len(written):
        draft = context.draft()
        right = 0
        for drafted, real in zip(draft, written[place:], strict=False):
            if drafted != real:
                break
            right += 1
        # A pass gives the right part of the draft and one token more.
        step = min(right + 1, len(written) - place)
        found.passes += 1
        found.checks += bool(draft)
        found.drafted += len(draft)
        found.accepted += min(right, step)
        context.extend(written[place : place + step])
        place += step
    return found


def count_record(path: Path, split: Split) -> Count:
    """The effect of drafting on one recorded exploration.

    Raises:
        TrajectoryError: it is not a record.
    """
    context, total = Context(), Count()
    for timed in read(path):
        match timed.event:
            case RunStarted(tools=tools):
                context.extend(split(json.dumps(list(tools))))
            case TurnStarted(appended=messages):
                for message in messages:
                    # What the model itself wrote is in the context already.
                    if message.get("role") != "assistant":
                        context.extend(split(str(message.get("content") or "")))
            case TurnFinished(message=message):
                total.add(count_turn(context, split(as_written(message))))
    return total


def as_written(message: Any) -> str:
    """The text that the model wrote, calls in the form in which it writes them."""
    parts = [str(message.get("content") or "")]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        body = f'{{"name": {json.dumps(function["name"])}, "arguments": {function["arguments"]}}}'
        parts.append(f"<tool_call>\n{body}\n</tool_call>")
    return "\n".join(part for part in parts if part)


def pieces(text: str) -> list[Any]:
    """A guess at tokens."""
    return re.findall(r" ?\w{1,4}|\s+|[^\w\s]", text)


def tokens_of(path: Path) -> Split:
    """The tokenizer of a ``tokenizer.json``. Needs the package tokenizers, which vLLM installs."""
    from tokenizers import Tokenizer  # type: ignore[import-not-found,unused-ignore]

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def main() -> int:
    """Print a row for each record and one for all; the exit status is 1 if all are empty."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORD")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--out", type=Path, help="where to append the rows")
    given = parser.parse_args()
    split = tokens_of(given.tokenizer) if given.tokenizer else pieces
    rows, everything = [], Count()
    for path in given.records:
        count = count_record(path, split)
        if count.written:
            rows.append(count.row(path.name))
            everything.add(count)
    if not rows:
        print("error: no record holds a turn of a model", file=sys.stderr)
        return 1
    rows.append(everything.row("all"))
    for row in rows:
        row["tokenizer"] = given.tokenizer.name if given.tokenizer else "pieces"
        print(json.dumps(row))
    if given.out:
        with given.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
