"""What a folder's name says counts only if the repository does not say otherwise."""

import pytest

from explorer.scout.habits import of_other_system
from explorer.scout.scores import index_paths


def marked(paths: list[str], mark: str) -> set[str]:
    index = index_paths(sorted(paths))
    return {path for path, is_so in zip(index.paths, getattr(index, mark), strict=True) if is_so}


def test_a_folder_among_sources_is_no_test_only_because_it_is_called_so() -> None:
    sources = [
        "lib/bats-core/test_functions.bash", "packages/vitest/src/integrations/mock/timers.ts",
        "django/__init__.py", "django/test/__init__.py", "django/test/client.py",
    ]  # fmt: skip
    real = ["tests/a.py", "src/test/test_a.py", "mocks/x.ts", "pool_test.go", "src/PoolTest.java"]
    assert marked([*sources, *real], "is_test") == set(real)


def test_migrations_and_templates_lie_aside_by_what_is_in_them() -> None:
    sources = [
        "django/__init__.py", "django/db/__init__.py", "django/db/migrations/__init__.py",
        "django/db/migrations/state.py", "src/templates/render.ts", "src/build/plan.ts",
    ]  # fmt: skip
    aside = [
        "app/migrations/0001_initial.py", "src/shop/migrations/0001_a.py",
        "src/shop/migrations/0002_b.py", "templates/index.html", "scripts/release.py",
        "docs/conf.py",
    ]  # fmt: skip
    assert marked([*sources, *aside], "is_aside") == set(aside)


def test_translations_lie_aside_and_what_is_only_called_like_a_language_does_not() -> None:
    sources = [
        "lang/en/auth.php", "src/lang/en.json", "grammars/js.ts", "grammars/go.ts",
        "crates/it/a.rs", "src/de/serialize.rs", "src/ser/it.rs",
    ]  # fmt: skip
    written = [f"lang/{each}/auth.php" for each in ("de", "fr", "ka", "pt_BR")]
    written += [f"src/lang/{each}.json" for each in ("ja", "de-DE", "zh-TW", "uk")]
    assert marked([*sources, *written], "is_aside") == set(written)


def test_an_older_version_beside_a_newer_one_is_superseded() -> None:
    paths = ["pydantic/main.py", "pydantic/v1/main.py", "src/v3/a.ts", "src/v4/b.ts", "api/v1/x.go"]
    assert marked([*paths, "src/legacy/c.ts"], "is_old") == {
        "pydantic/v1/main.py", "src/v3/a.ts", "src/legacy/c.ts",
    }  # fmt: skip


def test_a_file_for_another_system_is_told_unless_the_question_names_it() -> None:
    for path in ("src/win/tcp.c", "lock_windows.go", "lib/version_win32.c", "src/unix/sunos.c"):
        assert of_other_system(path, "how are TCP connections accepted?")
    for path in ("src/unix/tcp.c", "src/window.c", "lib/winner.py", "pkg/darwin/a.go"):
        assert not of_other_system(path, "how are TCP connections accepted?")
    assert not of_other_system("src/win/tcp.c", "how does Windows accept TCP connections?")
    assert not of_other_system("src/unix/sunos.c", "how are files watched on SunOS?")


def test_what_tools_write_from_other_files_is_generated() -> None:
    written = ["api/a.pb.go", "api/a_pb2.py", "api/a_pb2_grpc.py", "lib/a.g.dart"]
    written += ["extras/shop_amalgamated.hpp", "single_include/shop.hpp", "core/api/core.api"]
    assert marked(
        [*written, "api/a.go", "api/pb.go", "include/shop.hpp", "lib/g.dart"], "is_generated"
    ) == set(written)


@pytest.mark.parametrize(
    ("path", "test", "aside"),
    [
        ("crates/cargo-test-support/src/publish.rs", True, False),
        ("server/test-utils/src/Node.java", True, False),
        ("test_helpers/fakes.py", True, False),
        ("microbench/src/HeadersBench.java", False, True),
        ("jmh-benchmarks/src/Acl.java", False, True),
        ("src/contest/support.py", False, False),
        ("src/workbench/pane.ts", False, False),
    ],
)
def test_what_is_there_for_tests_or_timings_is_no_source(
    path: str, test: bool, aside: bool
) -> None:
    assert bool(marked([path], "is_test")) == test
    assert bool(marked([path], "is_aside")) == aside
