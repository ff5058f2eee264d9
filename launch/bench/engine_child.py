"""Measures one engine in a process of its own, so that the next one finds the GPU's memory free.

Called by ``launch.bench.engine``: a plan as one JSON argument; writes rows of JSON to the plan's
file, each as soon as it is there. Imports nothing but vLLM and the standard library, so that it
runs in whichever Python has vLLM.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from launch.bench.samples import Sampler, summary

STARTED = time.monotonic()


class Bench:
    """An engine, and the requests that measure it."""

    def __init__(self, engine: Any, plan: dict[str, Any], rows: Path) -> None:
        self.engine = engine
        self.plan = plan
        self.rows = rows
        self.random = random.Random(0)
        self.requests = 0
        self.measuring_s = 0.0

    def emit(self, row: dict[str, Any]) -> None:
        """Writes a row for the parent and shows it."""
        line = json.dumps({"variant": self.plan["name"], **row})
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def prompt(self, tokens: int) -> list[int]:
        """Token ids that no other prompt of this run begins with."""
        top = int(self.plan["vocabulary"])
        return [self.random.randrange(top // 100, top * 6 // 10) for _ in range(tokens)]

    async def request(self, prompt: list[int], tokens: int) -> tuple[float, float, int]:
        """Seconds to the first token, tokens a second after it, and tokens, of one request."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            temperature=0.0,
            max_tokens=tokens,
            min_tokens=tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        self.requests += 1
        start = time.perf_counter()
        first, last, count, before = 0.0, start, 0, 0
        stream = self.engine.generate(
            {"prompt_token_ids": prompt}, parameters, request_id=f"bench-{self.requests}"
        )
        async for output in stream:
            got = len(output.outputs[0].token_ids)
            if not got:
                continue
            last = time.perf_counter()
            if not first:
                first, before = last, got
            count += got
        rate = (count - before) / (last - first) if last > first else 0.0
        return first - start, rate, count

    async def first_tokens(self, prompt_tokens: int, repeats: int) -> None:
        """TTFT of prompts that are not cached."""
        taken = [
            1e3 * (await self.request(self.prompt(prompt_tokens), 2))[0] for _ in range(repeats)
        ]
        self.emit({"kind": "ttft_ms", "prompt_tokens": prompt_tokens, **summary(taken)})

    async def cached_prefix(self, cached: int, new: int, repeats: int) -> None:
        """TTFT of prompts whose beginning is cached, as in the second turn of an exploration."""
        base = self.prompt(cached)
        await self.request(base, 2)
        taken = [1e3 * (await self.request(base + self.prompt(new), 2))[0] for _ in range(repeats)]
        row = {"kind": "ttft_cached_ms", "cached_tokens": cached, "new_tokens": new}
        self.emit({**row, **summary(taken)})

    async def decode(self, context: int, tokens: int, repeats: int) -> None:
        """Tokens a second of one stream, with power and temperature meanwhile."""
        with Sampler() as sampler:
            rates = [(await self.request(self.prompt(context), tokens))[1] for _ in range(repeats)]
        row = {"kind": "decode_tok_s", "streams": 1, "context_tokens": context, "tokens": tokens}
        self.emit({**row, **summary(rates), "gpu": sampler.row()})

    async def streams(self, count: int, context: int, tokens: int, repeats: int) -> None:
        """Tokens a second of several streams together, prefill included."""
        rates = []
        with Sampler() as sampler:
            for _ in range(repeats):
                prompts = [self.prompt(context) for _ in range(count)]
                start = time.perf_counter()
                done = await asyncio.gather(*(self.request(each, tokens) for each in prompts))
                rates.append(sum(each[2] for each in done) / (time.perf_counter() - start))
        row = {
            "kind": "decode_tok_s",
            "streams": count,
            "context_tokens": context,
            "tokens": tokens,
        }
        self.emit({**row, **summary(rates), "gpu": sampler.row()})

    async def run(self) -> None:
        """Every measurement of the plan. One that fails is a row; the others are still made."""
        begun = time.monotonic()
        await self.request(self.prompt(64), 8)
        await self.request(self.prompt(self.plan["warm_up_tokens"]), 32)
        self.emit({"kind": "warm_up_s", "median": time.monotonic() - begun})
        for kind, *values in self.plan["measurements"]:
            begun = time.monotonic()
            try:
                await getattr(self, kind)(*values)
            except Exception as error:
                # The engine may refuse one prompt (too long, say) and serve the rest.
                self.emit({"kind": "error", "measurement": [kind, *values], "error": repr(error)})
            self.measuring_s += time.monotonic() - begun


async def measure(plan: dict[str, Any]) -> None:
    """Starts the engine of the plan, measures it and shuts it down."""
    from vllm import __version__
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    import_s = time.monotonic() - STARTED
    begun = time.monotonic()
    engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**plan["arguments"]))
    bench = Bench(engine, plan, Path(plan["rows"]))
    try:
        await bench.request(bench.prompt(32), 1)
        row = {"kind": "start_s", "cache": plan["cache"], "import_s": import_s}
        row |= {"engine_s": time.monotonic() - begun, "vllm": __version__}
        bench.emit({**row, "median": time.monotonic() - STARTED})
        ready = time.monotonic()
        if plan["measurements"]:
            await bench.run()
            spent = time.monotonic() - ready
            share = 1 - bench.measuring_s / spent
            bench.emit({"kind": "overhead", "measured_s": bench.measuring_s, "share": share})
    finally:
        engine.shutdown()


def main() -> None:
    """Runs the plan given as the only argument."""
    asyncio.run(measure(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
