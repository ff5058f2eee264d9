"""Measures the local engine at work: transcripts, first turns, speeds, explorations."""

import os
import shutil
import statistics
import tempfile
import time
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx

from benchmarks.gpu.engine_life import ROOT, Bench
from benchmarks.gpu.timed import api, complete, speeds
from explorer.events import Event, TurnFinished
from explorer.limits import Usage
from launch.keeper import client
from server.settings import load_settings

TURNS = 8
TURN_TOKENS = 2_000
QUESTION = "where is the time that an exploration may take kept and enforced?"

_used: ContextVar[list[Usage]] = ContextVar("_used")
"""Tokens that each turn of the exploration in this context used."""


async def transcripts(bench: Bench, streams: int) -> None:
    """Replay transcripts side by side: how much of each turn's prompt was cached, and its TTFT.

    The streams share the system message, as explorations of one repository do, and nothing else.
    """
    size = TURN_TOKENS // 8 if bench.small else TURN_TOKENS
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    async with client.use(bench.places, wait_s=30) as access, api(access) as http:
        async with anyio.create_task_group() as group:
            for stream in range(streams):
                group.start_soon(_transcript, http, access.model, stream, size, rows)
    turns = []
    for turn in range(1, TURNS + 1):
        of_turn = [row for row in rows if row["turn"] == turn]
        shares = [row["cached"] / row["sent_before"] for row in of_turn if row["sent_before"]]
        times = [row["ttft_ms"] for row in of_turn]
        turns.append(
            {
                "turn": turn,
                "prompt": max(row["prompt"] for row in of_turn),
                "least_cached": min(row["cached"] for row in of_turn),
                "least_of_sent_before": round(min(shares), 4) if shares else None,
                "median_of_sent_before": round(statistics.median(shares), 4) if shares else None,
                "least_of_prompt": round(min(row["cached"] / row["prompt"] for row in of_turn), 4),
                "median_ttft_ms": round(statistics.median(times), 1),
                "max_ttft_ms": round(max(times), 1),
            }
        )
    bench.add(
        f"{streams} replayed transcript(s)",
        wall_s=round(time.monotonic() - began, 2),
        tokens_in_all=sum(row["prompt"] for row in rows if row["turn"] == TURNS),
        least_of_sent_before=min(row["least_of_sent_before"] for row in turns[1:]),
        turns=turns,
    )


async def _transcript(
    http: httpx.AsyncClient, model: str, stream: int, size: int, rows: list[dict[str, Any]]
) -> None:
    system = "You find code in a repository. " + "Guidelines stand here. " * 80
    messages = [{"role": "system", "content": system}]
    sent = 0
    # The text of another run must not be found in the cache.
    run = f"{time.time_ns():x}"
    for turn in range(1, TURNS + 1):
        line = f"src/pkg_{run}_{stream}/module_{turn}.py:10-20: def function(argument): return 1\n"
        result = (line * (size // len(line) + 1))[:size]
        messages.append({"role": "user", "content": f"result {turn} of {stream}\n{result}"})
        first_ms, usage = await complete(http, model, messages, 16)
        prompt = usage["prompt_tokens"]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        row = {"turn": turn, "prompt": prompt, "cached": cached, "sent_before": sent}
        rows.append(row | {"ttft_ms": first_ms})
        sent = prompt
        messages.append({"role": "assistant", "content": "I read on."})


async def first_turn(bench: Bench) -> None:
    """A repository's first turn with and without a warm-up: how much of its start was cached.

    Each is a new repository of its own name, so that nothing but the words before the name is in
    the cache already.
    """
    from server.exploring.local_engine import LocalEngine
    from server.exploring.open_repositories import OpenRepositories

    local, repositories = LocalEngine(load_settings(engine="local")), OpenRepositories()
    folder = Path(tempfile.mkdtemp(prefix="fcfirst", dir=bench.home))
    try:
        for name in ("cold", "primed"):
            root = folder / f"{name}-{folder.name}"
            shutil.copytree(ROOT / "launch", root, ignore=shutil.ignore_patterns("__pycache__"))
            async with repositories.opened(root, include_hidden=False) as warm:
                primed = name == "primed"
                bench.add(f"first turn, {name}", **await _first_turn(bench, local, warm, primed))
    finally:
        repositories.close()
        await local.close()


async def _first_turn(bench: Bench, local: Any, warm: Any, primed: bool) -> dict[str, Any]:
    from explorer import prompt
    from explorer.engines.protocol import Finished
    from server.exploring.prefix_warmup import opening_request

    request = await anyio.to_thread.run_sync(opening_request, warm)
    row: dict[str, Any] = {}
    async with local.lease(wait_s=0, wake=False) as (engine, _):
        if primed:
            began = time.perf_counter()
            async with engine.stream(request) as events:
                async for _event in events:
                    pass
            row["prime_ms"] = round((time.perf_counter() - began) * 1000, 1)
        asked = replace(request, messages=prompt.opening(QUESTION, warm.workspace), max_tokens=16)
        began = time.perf_counter()
        first_ms, usage = 0.0, Usage()
        async with engine.stream(asked) as events:
            async for event in events:
                first_ms = first_ms or (time.perf_counter() - began) * 1000
                if isinstance(event, Finished):
                    usage = event.usage or Usage()
    async with client.use(bench.places, wait_s=5) as access, api(access) as http:
        told = {"model": access.model, "messages": [dict(asked.messages[0])], "tools": asked.tools}
        told["add_generation_prompt"] = False
        url = access.url.removesuffix("/v1") + "/tokenize"
        start = (await http.post(url, json=told)).raise_for_status().json()["count"]
    return row | {
        "first_event_ms": round(first_ms, 1),
        "prompt": usage.prompt_tokens,
        "cached": usage.cached_tokens,
        "system_and_tools": start,
        "of_system_and_tools": round(min(usage.cached_tokens, start) / start, 4),
    }


async def speed_table(bench: Bench) -> None:
    """Time to first token and tokens a second for several prompt lengths and streams."""
    async with client.use(bench.places, wait_s=30) as access, api(access) as http:
        bench.add("speeds", **await speeds(http, access.model, 4_000 if bench.small else 32_000))


async def explorations(bench: Bench, count: int, deadline_s: float) -> None:
    """Explorations side by side through the service, with the scout as fallback."""
    from server.exploring.question import make_question
    from server.exploring.service import ExplorationService

    settings = load_settings(
        engine="local", deadline_s=deadline_s, max_turns=3, max_tokens=256, max_concurrent=count
    )
    done: list[dict[str, Any]] = []
    async with ExplorationService(settings, listener=_hear) as service:

        async def one(number: int) -> None:
            query = f"{QUESTION} ({number})"
            ask = make_question(settings, query, path=str(ROOT))
            used: list[Usage] = []
            _used.set(used)
            began = time.monotonic()
            report = await service.explore(ask)
            done.append(
                {
                    "s": round(time.monotonic() - began, 2),
                    "engine": report.engine,
                    "stop": report.exploration.stop_reason,
                    "places": len(report.exploration.citations),
                    "turns": len(used),
                    "prompt": sum(each.prompt_tokens for each in used),
                    "cached": sum(each.cached_tokens for each in used),
                    "written": sum(each.completion_tokens for each in used),
                    "why": report.engine_reason[:120],
                }
            )

        began = time.monotonic()
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
        wall_s = time.monotonic() - began
    bench.add(
        f"{count} exploration(s)",
        wall_s=round(wall_s, 2),
        median_s=round(statistics.median(row["s"] for row in done), 2),
        slowest_s=max(row["s"] for row in done),
        deadline_s=deadline_s,
        all_answered=all(row["places"] for row in done),
        cached_of_prompt=round(
            sum(row["cached"] for row in done) / max(1, sum(row["prompt"] for row in done)), 4
        ),
        rows=done,
    )


def _hear(event: Event) -> None:
    """Keep what a turn used: the report holds it only if the model's part is kept."""
    if isinstance(event, TurnFinished):
        _used.get().append(event.usage)


def through_mcp(bench: Bench, deadline_s: float) -> None:
    """One exploration through the MCP server over stdio, as a client makes it."""
    from tests.serving import served

    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("FASTCONTEXT_", "XDG_", "LD_", "CUDA", "VIRTUAL"))
    } | {"FASTCONTEXT_DEADLINE_S": str(deadline_s), "FASTCONTEXT_MAX_TURNS": "3"}
    environment["FASTCONTEXT_MAX_TOKENS"] = "256"
    with served(bench.home, cwd=ROOT, **environment) as server:
        began = time.monotonic()
        server.initialize(views=True)
        ready_s = time.monotonic() - began
        began = time.monotonic()
        number = server.call("explore_repository", query=QUESTION, path=str(ROOT))
        result = server.answer(number).get("result", {})
        found = result.get("structuredContent") or {}
        bench.add(
            "exploration through MCP",
            initialize_s=round(ready_s, 2),
            s=round(time.monotonic() - began, 2),
            deadline_s=deadline_s,
            error=bool(result.get("isError")),
            engine=found.get("engine"),
            stop=found.get("stop_reason"),
            places=len(found.get("citations") or ()),
            why=str(found.get("engine_reason"))[:160],
        )
