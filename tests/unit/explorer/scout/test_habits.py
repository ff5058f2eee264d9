"""What a folder's name says counts only if the repository does not say otherwise."""

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


def test_an_older_version_beside_a_newer_one_is_superseded() -> None:
    paths = ["pydantic/main.py", "pydantic/v1/main.py", "src/v3/a.ts", "src/v4/b.ts", "api/v1/x.go"]
    assert marked([*paths, "src/legacy/c.ts"], "is_old") == {
        "pydantic/v1/main.py", "src/v3/a.ts", "src/legacy/c.ts",
    }  # fmt: skip
