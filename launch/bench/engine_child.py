"""Measures one engine in a process of its own, so that the next engine finds the GPU's memory free.

``launch.bench.engine`` starts it with a plan as one JSON argument. It writes each row of JSON to
the plan's file at once. It imports nothing but vLLM and the standard library, so it runs in
whichever Python has vLLM.
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
        """Write a row for the parent, and to stderr."""
        line = json.dumps({"variant": self.plan["name"], **row})
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def prompt(self, tokens: int) -> list[int]:
        """Random token ids: no other prompt of this run begins with them."""
        top = int(self.plan["vocabulary"])
        return [self.random.randrange(top // 100, top * 6 // 10) for _ in range(tokens)]

    async def request(self, prompt: list[int], tokens: int) -> tuple[float, float, int]:
        """Of one request: seconds to the first token, tokens a second after it, and tokens."""
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
        """Time to first token of prompts that are not cached."""
        taken = [
            1e3 * (await self.request(self.prompt(prompt_tokens), 2))[0] for _ in range(repeats)
        ]
        self.emit({"kind": "ttft_ms", "prompt_tokens": prompt_tokens, **summary(taken)})

    async def cached_prefix(self, cached: int, new: int, repeats: int) -> None:
        """Time to first token of prompts whose beginning is cached, as in a second turn."""
        base = self.prompt(cached)
        await self.request(base, 2)
        taken = [1e3 * (await self.request(base + self.prompt(new), 2))[0] for _ in range(repeats)]
        row = {"kind": "ttft_cached_ms", "cached_tokens": cached, "new_tokens": new}
        self.emit({**row, **summary(taken)})

    async def decode(self, context: int, tokens: int, repeats: int) -> None:
        """Tokens a second of one stream, with power and temperature."""
        with Sampler() as sampler:
            rates = [(await self.request(self.prompt(context), tokens))[1] for _ in range(repeats)]
        self._emit_decoding(1, context, tokens, rates, sampler)

    async def streams(self, count: int, context: int, tokens: int, repeats: int) -> None:
        """Tokens a second of several streams together, including prefill."""
        rates = []
        with Sampler() as sampler:
            for _ in range(repeats):
                prompts = [self.prompt(context) for _ in range(count)]
                start = time.perf_counter()
                done = await asyncio.gather(*(self.request(each, tokens) for each in prompts))
                rates.append(sum(each[2] for each in done) / (time.perf_counter() - start))
        self._emit_decoding(count, context, tokens, rates, sampler)

    def _emit_decoding(
        self, streams: int, context: int, tokens: int, rates: list[float], sampler: Sampler
    ) -> None:
        row = {"kind": "decode_tok_s", "streams": streams}
        row |= {"context_tokens": context, "tokens": tokens}
        self.emit({**row, **summary(rates), "gpu": sampler.row()})

    async def run(self) -> None:
        """Make every measurement of the plan. One that fails gives a row; the others go on."""
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
    """Start the engine of the plan, measure it and shut it down."""
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
    """Run the plan that is the only argument."""
    asyncio.run(measure(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
