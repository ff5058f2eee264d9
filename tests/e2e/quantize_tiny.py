"""Quantizes a checkpoint and prints its report. Run by a Python that has ModelOpt::

    PYTHON_OF_MODELOPT tests/e2e/quantize_tiny.py SOURCE OUT CALIBRATION.jsonl

The packages that ``fastcontext quantize`` needs and those of its command line are in different
Pythons here, so this calls what the command calls.
"""

import json
import sys
from pathlib import Path

from launch.quantize.calibration import read_items
from launch.quantize.modelopt_steps import Recipe
from launch.quantize.run import QuantizeRequest, quantize


def main() -> None:
    """Prints the report and the record as one JSON object, last on stdout."""
    source, out, calibration = map(Path, sys.argv[1:])
    recipe = Recipe(samples=16, tokens=512, batch=4)
    items = tuple(read_items(calibration))
    result = quantize(QuantizeRequest(source, out, recipe, items, calibration.name, "cpu"))
    report = {**result.report.as_record(), "record": result.record}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
