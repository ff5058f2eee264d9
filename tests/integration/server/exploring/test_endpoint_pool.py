from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from explorer.engines.http import HttpEngine
from explorer.engines.http_client import Timeouts
from explorer.engines.protocol import Request, TextDelta
from explorer.errors import EngineError
from explorer.limits import Sampling
from server.exploring.endpoint_pool import PooledEngine
from server.exploring.engines import endpoint_client, public_url
from server.settings import Settings
from tests.fakes.openai_server import FakeOpenAI, breaks, closed_port, says

pytestmark = pytest.mark.anyio
QUICK = Timeouts(connect_s=2, first_s=5, read_s=5)


def asked(repository: str, query: str = "q") -> Request:
    messages = (
        {"role": "system", "content": repository},
        {"role": "user", "content": f"<query>{query}</query>"},
    )
    return Request(messages, (), "auto", 10, Sampling())


async def answer(engine: PooledEngine, request: Request) -> str:
    async with engine.stream(request) as events:
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])


@asynccontextmanager
async def pool_of(*urls: str) -> AsyncIterator[PooledEngine]:
    engines = {url: HttpEngine(url, "m", timeouts=QUICK) for url in urls}
    async with PooledEngine(engines) as pool:
        yield pool


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[list[FakeOpenAI]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(FakeOpenAI([says(f"from {number}")]))
            for number in range(count)
        ]


async def test_questions_about_one_repository_go_to_one_endpoint() -> None:
    async with servers(3) as three, pool_of(*(each.url for each in three)) as pool:
        answers = {await answer(pool, asked("repository", f"{n}")) for n in range(6)}
        assert len(answers) == 1


async def test_repositories_are_spread_over_endpoints() -> None:
    async with servers(3) as three, pool_of(*(each.url for each in three)) as pool:
        answers = {await answer(pool, asked(f"repository {n}")) for n in range(30)}
        assert answers == {"from 0", "from 1", "from 2"}


async def test_a_dead_endpoint_is_replaced_by_another_without_a_word() -> None:
    dead = f"http://127.0.0.1:{closed_port()}/v1"
    async with servers(1) as (alive,), pool_of(dead, alive.url) as pool:
        for number in range(6):
            assert await answer(pool, asked(f"repository {number}")) == "from 0"
        state = await pool.probe(5)
        assert state.ready


async def test_an_answer_that_breaks_after_it_began_is_not_begun_elsewhere() -> None:
    async with (
        FakeOpenAI([breaks(*says("half of it").parts[:2])]) as broken,
        FakeOpenAI([breaks(*says("half of it").parts[:2])]) as other,
        pool_of(broken.url, other.url) as pool,
    ):
        with pytest.raises(EngineError):
            await answer(pool, asked("repository"))


async def test_when_all_endpoints_are_dead_the_last_ones_error_is_raised() -> None:
    urls = [f"http://127.0.0.1:{closed_port()}/v1" for _ in range(2)]
    async with pool_of(*urls) as pool:
        with pytest.raises(EngineError):
            await answer(pool, asked("repository"))


def test_several_endpoints_are_set_with_commas() -> None:
    settings = Settings(endpoint=" http://a:1/v1, http://b:2/v1 ,http://a:1/v1")
    assert settings.endpoint == "http://a:1/v1,http://b:2/v1"
    assert isinstance(endpoint_client(settings), PooledEngine)
    assert public_url(settings.endpoint) == "http://a:1/v1, http://b:2/v1"
    assert isinstance(endpoint_client(Settings(endpoint="http://a:1/v1")), HttpEngine)
