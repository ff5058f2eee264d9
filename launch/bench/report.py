"""Rows of measurements as Markdown: the model card's table, and the matmuls by batch size."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read_rows(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of a JSON-lines file, and a sentence for each line that is not a row.

    A run that was killed may leave half a line.

    Raises:
        OSError: the file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    wrong: list[str] = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and isinstance(row.get("kind"), str):
            rows.append(row)
        else:
            wrong.append(f"line {number} of {path.name!r} is not a row and is left out")
    return rows, wrong


def engine_table(rows: Sequence[Row]) -> str:
    """A line for each measurement, a column for each variant, and ratios to the first variant.

    Ratios say how many times better: more tokens a second, or less of anything else. An empty cell
    was not measured; n is the smallest number of samples of a variant.
    """
    rows = [row for row in rows if "variant" in row]
    names = list(dict.fromkeys(str(row["variant"]) for row in rows))
    names = [name for name in names if any(_figure(row) for row in rows if row["variant"] == name)]
    if not names:
        return "Nothing was measured.\n"
    figures: dict[str, dict[str, tuple[float, int]]] = {}
    for row in rows:
        for label, value, count in _lines(row):
            figures.setdefault(label, {})[str(row["variant"])] = (value, count)
    head = ["", *names, *(f"{name} / {names[0]}" for name in names[1:]), "n"]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for label in sorted(figures, key=_order):
        found = figures[label]
        cells = [_number(found[name][0]) if name in found else "" for name in names]
        ratios = [_ratio(label, found, names[0], name) for name in names[1:]]
        fewest = min(count for _, count in found.values())
        lines.append(_line([label, *cells, *ratios, str(fewest)]))
    return "\n".join(lines) + "\n"


_ORDER = ("decode", "TTFT", "model size", "power", "temperature", "start")


def _order(label: str) -> tuple[int, int]:
    place = next((n for n, word in enumerate(_ORDER) if label.startswith(word)), len(_ORDER))
    digits = "".join(each for each in label if each.isdigit())
    return place, int(digits or 0)


def _figure(row: Row) -> bool:
    return "median" in row and row.get("kind") != "weight_bytes"


def _lines(row: Row) -> Iterable[tuple[str, float, int]]:
    """Label, value and number of samples of each figure in a row."""
    kind, count = row.get("kind"), int(row.get("n", 1))
    if kind == "weight_bytes":
        yield "model size, GB", row["median"] / 1e9, 1
    elif kind == "ttft_ms":
        yield f"TTFT of {row['prompt_tokens']} tokens, ms", row["median"], count
    elif kind == "ttft_cached_ms":
        name = f"TTFT of {row['new_tokens']} tokens after {row['cached_tokens']} cached, ms"
        yield name, row["median"], count
    elif kind == "decode_tok_s":
        streams = f"{row['streams']} stream{'s' if row['streams'] > 1 else ''}"
        place = f"{streams}, context {row['context_tokens']}"
        yield f"decode, {place}, tok/s", row["median"], count
        gpu = row.get("gpu") or {}
        if row["streams"] == 1 and "power_w" in gpu:
            yield f"power, {place}, W", gpu["power_w"]["median"], gpu["power_w"]["n"]
            hottest = gpu.get("temperature_c", {})
            if hottest.get("n"):
                yield f"temperature, {place}, C", hottest["max"], hottest["n"]
    elif kind == "start_s":
        yield f"start, {row['cache']} compile cache, s", row["median"], 1


def _ratio(label: str, found: Mapping[str, tuple[float, int]], base: str, name: str) -> str:
    if base not in found or name not in found or label.startswith("temperature"):
        return ""
    old, new = found[base][0], found[name][0]
    better = new / old if "tok/s" in label else old / new
    return f"{better:.2f}x"


def matmul_table(rows: Sequence[Row]) -> str:
    """A line for each layer and batch size: both times, their ratio, and the share of the limit.

    If a product was faster than the measured limit, it is taken as the limit.
    """
    pairs = matmul_pairs(rows)
    if not pairs:
        return "Nothing was measured.\n"
    head = ["layer", "out x in", "batch", "BF16, us", "NVFP4, us", "BF16 / NVFP4"]
    head += ["share of limit, BF16", "NVFP4", "error, NVFP4", "n"]
    lines = [_line(head), _line(["---", "---"] + ["---:"] * (len(head) - 2))]
    tops: dict[str, float] = {}
    for each in (row for pair in pairs for row in pair):
        tops[each["limit"]] = max(tops.get(each["limit"], 1.0), each["limit_share"])
    for plain, packed in pairs:
        old, new = plain["time_us"]["median"], packed["time_us"]["median"]
        cells = [plain["layer"] + (" (card)" if plain["card"] else "")]
        cells += [f"{plain['out']} x {plain['inner']}", str(plain["batch"])]
        cells += [f"{old:.1f}", f"{new:.1f}", f"{old / new:.2f}x"]
        for each in (plain, packed):
            cells.append(f"{each['limit_share'] / tops[each['limit']]:.0%} {each['limit']}")
        cells += [f"{packed['relative_error']:.4f}", str(packed["time_us"]["n"])]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def matmul_pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pairs of a BF16 and an NVFP4 row of the same layer and batch, in the order of the rows."""
    found = {
        (row["layer"], row["batch"], row["precision"]): row
        for row in rows
        if row.get("kind") == "matmul"
    }
    return [
        (row, found[layer, batch, "nvfp4"])
        for (layer, batch, precision), row in found.items()
        if precision == "bf16" and (layer, batch, "nvfp4") in found
    ]


def crossover(rows: Sequence[Row]) -> dict[str, int | None]:
    """For each layer the batch size from which NVFP4 is never faster; None: it stays faster."""
    made: dict[str, int | None] = {}
    for plain, packed in sorted(matmul_pairs(rows), key=lambda pair: pair[0]["batch"]):
        faster = packed["time_us"]["median"] < plain["time_us"]["median"]
        layer = str(plain["layer"])
        if faster:
            made[layer] = None
        elif made.get(layer) is None:
            made[layer] = int(plain["batch"])
    return made


def matmul_text(rows: Sequence[Row]) -> str:
    """The table of the matmuls, and the batch sizes from which NVFP4 is no longer faster."""
    found = crossover(rows)
    if not found:
        return matmul_table(rows)
    lines = [
        f"* {layer}: " + ("nowhere" if at is None else f"from batch {at} on")
        for layer, at in found.items()
    ]
    return matmul_table(rows) + "\nNVFP4 stops being faster:\n\n" + "\n".join(lines) + "\n"


def problems(rows: Sequence[Row]) -> list[str]:
    """A line for everything that failed or was skipped."""
    said = []
    for row in rows:
        if row.get("kind") in ("error", "skipped"):
            what = row.get("variant") or row.get("layer") or ""
            reason = row.get("error") or row.get("reason")
            said.append(f"{what}: {row['kind']}: {reason}".strip(": "))
    return said


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
