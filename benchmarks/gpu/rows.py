"""Measurements as they are made."""

import json
from pathlib import Path
from typing import Any


class Rows:
    """Measurements, written to the disk after each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: list[dict[str, Any]] = []

    def add(self, profile: str, what: str, **values: Any) -> None:
        """Keep and print one measurement."""
        row = {"profile": profile, "what": what, **values}
        self.all.append(row)
        self._path.write_text(json.dumps(self.all, indent=1))
        shown = "  ".join(f"{name}={value}" for name, value in values.items())
        print(f"{profile:<7} {what:<28} {shown}", flush=True)
