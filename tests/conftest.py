"""Fixtures that every test may use."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

E2E = "tests/e2e/"


def pytest_configure() -> None:
    """Run under nohup or behind ``&``, the tests start processes that hear signals all the same."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that wait for what is installed last come last."""
    items.sort(key=lambda item: "test_llama_cpp" in item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n``, the tests of a file share a process, and so do all of tests/e2e: one engine."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return E2E if nodeid.startswith(E2E) else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the settings nor the project of whoever runs the tests reach a test."""
    nowhere: Path = tmp_path_factory.getbasetemp() / "no-user-settings"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(nowhere))
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    monkeypatch.delenv("CLAUDE_PROJECT_DIR", raising=False)
    for name in list(os.environ):
        if name.startswith("FASTCONTEXT_") and not name.startswith("FASTCONTEXT_TEST_"):
            monkeypatch.delenv(name)
