"""Repositories of which nothing is mined: those that are asked about, here or by others."""

from typing import Final

KEPT_ASIDE: Final = frozenset(
    (
        "django sympy matplotlib scikit-learn mypy components abseil-cpp aeson alamofire axum"
        " bats-core cats chi cobra commons-lang dapper ecto exposed fastapi flask"
        " kotlinx-coroutines kotlinx.coroutines messagepack-csharp model2vec newtonsoft-json"
        " newtonsoft.json nvm pandoc rack requests telescope.nvim trpc vitest xmonad zig-clap zls"
    ).split()
)
"""Names of repositories that held-out sets are made of."""

SCORED: Final = frozenset(
    (
        "aiohttp click curl express fmt gin gson ktor framework lazy.nvim libuv monolog phoenix"
        " plug pydantic rails redux serde sinatra tokio vapor zod"  # questions
        " astropy seaborn xarray pylint pytest sphinx"  # issues
        " kafka ruff caddy eslint redis sqlalchemy core"  # commits
        " anyio httpcore httpx hypothesis jinja jsonschema rich starlette uvicorn watchfiles"  # how
    ).split()
)
"""Names of repositories that the benchmarks of this project ask about."""


def may_be_mined(repository: str) -> bool:
    """Whether ``owner/name`` is in neither list."""
    name = repository.rpartition("/")[2].lower()
    return name not in KEPT_ASIDE and name not in SCORED
