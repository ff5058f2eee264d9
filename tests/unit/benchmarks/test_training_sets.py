"""What the scout was trained and calibrated on holds nothing of what it is measured with."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
KEPT_ASIDE = frozenset(
    """
    django sympy matplotlib scikit-learn mypy angular/components abseil-cpp aeson alamofire axum
    bats-core cats chi cobra commons-lang dapper ecto exposed fastapi flask kotlinx-coroutines
    kotlinx.coroutines messagepack-csharp model2vec newtonsoft-json newtonsoft.json nvm pandoc rack
    requests telescope.nvim trpc vitest xmonad zig-clap zls
    """.split()
)
"""Repositories, by name, whose tasks measure what was never seen."""


def is_kept_aside(repository: str) -> bool:
    owner_and_name = repository.lower()
    return owner_and_name in KEPT_ASIDE or owner_and_name.partition("/")[2] in KEPT_ASIDE


def test_the_weights_were_trained_on_no_repository_that_is_kept_aside() -> None:
    record = json.loads((ROOT / "explorer/scout/weights.json").read_text())
    repositories = record["trained"]["repositories"]
    assert len(repositories) > 50
    assert [each for each in repositories if is_kept_aside(each)] == []


def test_the_calibrations_were_fitted_on_no_repository_that_is_kept_aside() -> None:
    text = (ROOT / "benchmarks/SCOUT.md").read_text()
    listed = re.search(r"none of them scored here: ([^\n]+?)\.\n", text)
    assert listed is not None
    repositories = listed[1].split(", ")
    assert len(repositories) > 30
    assert [each for each in repositories if is_kept_aside(each)] == []
    assert is_kept_aside("psf/requests")
