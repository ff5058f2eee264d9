"""Times requests to a vLLM server: a single one, or a table of prompt lengths and streams."""

import json
import random
import statistics
import time
from typing import Any

import anyio
import httpx

from launch.keeper.client import Access

STREAMS = 16
WRITTEN = 256


def api(access: Access) -> httpx.AsyncClient:
    """A client of the engine's API."""
    transport = httpx.AsyncHTTPTransport(uds=access.socket) if access.socket else None
    return httpx.AsyncClient(
        base_url=access.url,
        transport=transport,
        headers={"Authorization": f"Bearer {access.api_key}"},
        timeout=120,
    )


async def complete(
    http: httpx.AsyncClient, model: str, messages: list[dict[str, str]], tokens: int
) -> tuple[float, dict[str, Any]]:
    """Milliseconds to the first token, and the server's count of tokens."""
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = time.perf_counter()
    first_ms, usage = 0.0, {}
    async with http.stream("POST", "/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if event.get("choices") and not first_ms:
                first_ms = (time.perf_counter() - began) * 1000
            usage = event.get("usage") or usage
    return first_ms, usage


async def speeds(http: httpx.AsyncClient, model: str, longest: int) -> dict[str, float]:
    """A row of the table: TTFT in ms (medians of 3) by prompt length, tokens/s by streams.

    Every prompt is new to the prefix cache, except in ``cached_plus_1k_ms``. Prompts are longer by
    the chat template's few tokens. Tokens a second leave out the time to the first token.
    """
    made = random.Random(time.time_ns())

    def prompt(size: int) -> list[dict[str, str]]:
        text = "".join(made.choices("abcdefghijklmnopqrstuvwxyz /._", k=size))
        return [{"role": "user", "content": text}]

    row: dict[str, float] = {}
    for size in (32, 1_000, 8_000, 32_000):
        if size <= longest:
            times = [(await complete(http, model, prompt(size), 1))[0] for _ in range(3)]
            row[f"ttft_{size}_ms"] = round(statistics.median(times), 1)
    times = []
    for _ in range(3):
        start = prompt(longest // 2)
        await complete(http, model, start, 1)
        longer = [{"role": "user", "content": start[0]["content"] + prompt(1_000)[0]["content"]}]
        times.append((await complete(http, model, longer, 1))[0])
    row[f"ttft_{longest // 2}_cached_plus_1000_ms"] = round(statistics.median(times), 1)
    rates = [await _rate(http, model, [prompt(32)]) for _ in range(3)]
    row["tokens_s_1_stream"] = round(statistics.median(rates), 1)
    together = [prompt(32) for _ in range(STREAMS)]
    row[f"tokens_s_{STREAMS}_streams"] = round(await _rate(http, model, together), 1)
    row[f"tokens_s_1_stream_at_{longest}"] = round(await _rate(http, model, [prompt(longest)]), 1)
    return row


async def _rate(http: httpx.AsyncClient, model: str, prompts: list[list[dict[str, str]]]) -> float:
    """Tokens a second of all streams together, from the last stream's first token on."""
    firsts: list[float] = []
    began = time.perf_counter()

    async def one(messages: list[dict[str, str]]) -> None:
        first_ms, _ = await complete(http, model, messages, WRITTEN)
        firsts.append(first_ms / 1000)

    async with anyio.create_task_group() as group:
        for messages in prompts:
            group.start_soon(one, messages)
    return len(prompts) * (WRITTEN - 1) / (time.perf_counter() - began - max(firsts))
