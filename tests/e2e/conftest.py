"""The tiny model and two servers of it, made once for all end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.e2e.checkpoint import tiny_checkpoint
from tests.e2e.recordings import plant, record
from tests.e2e.vllm_server import PARSER, VllmServer, vllm_serving
from tests.external import VLLM_PYTHON, external


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The Python that has vLLM."""
    return external(VLLM_PYTHON)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that the model knows."""
    return plant(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def checkpoint(vllm_python: Path, tree: Path, pytestconfig: pytest.Config) -> Path:
    """The tiny model. Kept between runs in pytest's own cache folder."""
    cache = pytestconfig.cache.mkdir("tiny-model") if pytestconfig.cache else tree.parent / "model"
    return tiny_checkpoint(vllm_python, anyio.run(record, tree), cache)


@pytest.fixture(scope="session", params=["parser on", "parser off"])
def vllm(
    request: pytest.FixtureRequest,
    vllm_python: Path,
    checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[VllmServer]:
    """A server that parses calls itself, then one that leaves them in the text."""
    extra = PARSER if request.param == "parser on" else ()
    with vllm_serving(vllm_python, checkpoint, tmp_path_factory.mktemp("vllm"), *extra) as server:
        yield server
