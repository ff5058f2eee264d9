"""The table of the agent benchmark: what both arms cost, and what they found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.localisation_report import bootstrap
from benchmarks.questions_report import f1

ARMS = ("without", "with")
Row = Mapping[str, Any]
"""One run, as it is kept in ``results.jsonl``."""

_COSTS = {
    "requests": "requests",
    "tokens in": "prompt_tokens",
    "  of these cached": "cached_tokens",
    "tokens out": "completion_tokens",
    "seconds": "seconds",
    "tool calls": "tool_calls",
    "bytes of tool results": "output_bytes",
}


def figures(row: Row) -> dict[str, float]:
    """The figures of a run. F1 is in percent, and absent where nothing is known to be sought."""
    found = {title: float(row[name]) for title, name in _COSTS.items()}
    for title, cited, sought in (
        ("file F1", {each["path"] for each in row["citations"]}, row["sought_files"]),
        ("function F1", set(row["functions"]), row["sought_functions"]),
    ):
        if sought:
            found[title] = 100 * f1(cited, set(sought))
    return found


def report(rows: Sequence[Row]) -> str:
    """The means of both arms over the tasks that have both, and the paired differences."""
    by_arm = {arm: {row["id"]: row for row in rows if row["arm"] == arm} for arm in ARMS}
    both = [task for task in by_arm["with"] if task in by_arm["without"]]
    pairs = [[figures(by_arm[arm][task]) for arm in ARMS] for task in both]
    if not pairs:
        return "No task has been run in both arms."
    lines = [
        f"{len(both)} tasks, each run in both arms; means, and the difference with its 95% paired "
        "bootstrap interval",
        f"{'':24}{'n':>5}{'without':>12}{'with':>12}{'difference':>12}",
    ]
    for name in (*_COSTS, "file F1", "function F1"):
        values = np.array([[each[name] for each in pair] for pair in pairs if name in pair[0]])
        if len(values):
            without, with_tool = values.mean(axis=0)
            mean, low, high = bootstrap(values[:, 1] - values[:, 0])
            lines.append(
                f"{name:24}{len(values):5}{without:12,.1f}{with_tool:12,.1f}{mean:+12,.1f}"
                f"  [{low:+,.1f}, {high:+,.1f}]"
            )
    chosen = {arm: [by_arm[arm][task] for task in both] for arm in ARMS}
    asked = sum(row["asked"] > 0 for row in chosen["with"])
    sent, failed = (sum(row[name] for row in chosen["with"]) for name in ("asked", "failed"))
    lines += ["", f"The server was asked in {asked} of {len(both)} runs; {sent} calls, {failed} "
              "answered with an error"]  # fmt: skip
    for arm, runs in chosen.items():
        answered = sum(row["stop_reason"] == "answered" for row in runs)
        guessed = sum(row["estimated"] for row in runs)
        lines.append(
            f"{arm}: {answered} of {len(runs)} runs ended with an answer"
            + (f"; tokens of {guessed} estimated, the endpoint sent no usage" if guessed else "")
        )
    return "\n".join(lines)
