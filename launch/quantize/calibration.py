"""The texts to calibrate on: news as for the published checkpoint, or a file."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from launch.errors import QuantizeError
from launch.verify.probes import Conversation, render

NEWS = "abisee/cnn_dailymail"
NEWS_VERSION = "3.0.0"


Item = str | Conversation


def news(samples: int) -> list[Item]:
    """The first articles of CNN/DailyMail 3.0.0's training split, downloaded or from the cache.

    Raises:
        QuantizeError: the package or the data set cannot be loaded.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise QuantizeError(
            "the package 'datasets', which downloads CNN/DailyMail, is missing",
            "pip install 'fastcontext-mcp[quantize]', or give --calibration FILE.jsonl",
        ) from None
    try:
        rows = load_dataset(NEWS, NEWS_VERSION, split="train", streaming=True)
        return [str(row["article"]) for _, row in zip(range(samples), rows, strict=False)]
    except Exception as error:
        # The package raises anything from ConnectionError to its own types.
        raise QuantizeError(
            f"CNN/DailyMail {NEWS_VERSION} could not be loaded: {error}",
            "check the connection, or give --calibration FILE.jsonl",
        ) from error


def read_items(path: Path) -> list[Item]:
    """Texts and conversations of a file with one JSON value on each line.

    A line is a string, an object with ``text``, or one with ``messages`` and perhaps ``tools``.

    Raises:
        QuantizeError: the file cannot be read or is empty, or a line has another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QuantizeError(f"{str(path)!r} cannot be read: {error}") from None
    items = [_item(line, path, n) for n, line in enumerate(lines, 1) if line.strip()]
    if not items:
        raise QuantizeError(f"{str(path)!r} holds no calibration text")
    return items


def _item(line: str, path: Path, number: int) -> Item:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            return str(value["text"])
        messages, tools = value.get("messages"), value.get("tools") or ()
        if isinstance(messages, list) and messages:
            return Conversation(tuple(messages), tuple(tools))
    raise QuantizeError(
        f"line {number} of {str(path)!r} is neither a text nor a conversation",
        'write a JSON string, {"text": ...} or {"messages": [...], "tools": [...]} on each line',
    )


def token_windows(items: Iterable[Item], tokenizer: Any, tokens: int) -> Iterator[list[int]]:
    """Lists of at most ``tokens`` token ids: a text's beginning, a conversation in pieces.

    Pieces of different conversations alternate, so that a few long ones do not fill the samples.
    """
    queues: list[list[list[int]]] = []
    for item in items:
        if isinstance(item, str):
            yield list(tokenizer(item, truncation=True, max_length=tokens)["input_ids"])
        else:
            ids = render(item, tokenizer)
            queues.append([ids[at : at + tokens] for at in range(0, len(ids), tokens)])
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue):
                yield queue[turn]


def batches(
    windows: Iterable[Sequence[int]], *, samples: int, batch: int, padding: int
) -> list[tuple[list[list[int]], list[list[int]]]]:
    """``(token ids, attention mask)`` of ``batch`` rows each, padded on the right.

    Raises:
        QuantizeError: no window holds a token.
    """
    kept = [list(window) for _, window in zip(range(samples), filter(None, windows), strict=False)]
    if not kept:
        raise QuantizeError("the calibration texts hold no tokens")
    made = []
    for at in range(0, len(kept), batch):
        rows = kept[at : at + batch]
        longest = max(map(len, rows))
        ids = [row + [padding] * (longest - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        made.append((ids, mask))
    return made
