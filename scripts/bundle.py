"""Lay out the MCPB bundle: ``python -m scripts.bundle DIR``; ``mcpb pack DIR OUT`` packs it.

The bundle holds the sources of the wheel and its pyproject.toml; the client's uv installs what
they need. DIR must not exist.
"""

import shutil
import sys
from pathlib import Path

import tomlkit

ROOT = Path(__file__).parents[1]
PACKAGES = ("server", "explorer", "launch", "fastcontext_mcp")
FILES = ("README.md", "LICENSE", "NOTICE")


def lay_out(target: Path) -> Path:
    """The folder to pack.

    Raises:
        FileExistsError: ``target`` is there already.
    """
    target.mkdir(parents=True)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(ROOT / package, target / package, ignore=ignored)
    for name in FILES:
        shutil.copyfile(ROOT / name, target / name)
    shutil.copyfile(ROOT / "bundle" / "manifest.json", target / "manifest.json")
    (target / "pyproject.toml").write_text(_project(), encoding="utf-8")
    return target


def _project() -> str:
    """The pyproject.toml without extras and tools: the client's uv would resolve all of them."""
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    del project["project"]["optional-dependencies"]
    kept = project["tool"]["hatch"]
    project["tool"] = {"hatch": kept}
    return tomlkit.dumps(project)


def main() -> int:
    """Exit status: 2 for wrong usage."""
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.stderr.write("error: name one folder that does not exist\nhint: see the docstring\n")
        return 2
    sys.stdout.write(f"{lay_out(Path(sys.argv[1]))}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
