"""``python -m benchmarks`` lists the scenarios; names after it, or ``all``, run them."""

import argparse
import signal
import sys
import tempfile
import textwrap
from pathlib import Path

from benchmarks.agent import agent
from benchmarks.agent import run as run_agent
from benchmarks.localisation import localisation
from benchmarks.localisation import run as localise
from benchmarks.measure import RUNS, Bench, Scenario, keep, machine, table
from benchmarks.memory import memory
from benchmarks.page import page
from benchmarks.questions import how, issues, questions
from benchmarks.questions import run as ask
from benchmarks.scouting import first_answer, many_files, scout, updates
from benchmarks.searches import eight_greps, mixed_calls
from benchmarks.start import cold_start
from benchmarks.turns import turn_overhead

SCENARIOS: dict[str, Scenario] = {
    "start": cold_start,
    "turn": turn_overhead,
    "greps": eight_greps,
    "mixed": mixed_calls,
    "scout": scout,
    "scout-first": first_answer,
    "scout-updates": updates,
    "scout-large": many_files,
    "memory": memory,
    "page": page,
    "localisation": localisation,
    "questions": questions,
    "issues": issues,
    "how": how,
    "agent": agent,
}


def main() -> int:
    """Run the scenarios; the exit status is 0, or 2 when one is not known."""
    if sys.argv[1:2] == ["localisation"]:
        return localise(sys.argv[2:])
    if sys.argv[1:2] == ["agent"] and len(sys.argv) > 2:
        return run_agent(sys.argv[2:])
    if sys.argv[1:2] in (["questions"], ["issues"], ["how"]) and len(sys.argv) > 2:
        return ask(sys.argv[1], sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to run, or all")
    parser.add_argument("-n", type=int, default=0, help="samples per case instead of the usual")
    parser.add_argument("--machine", default=machine(), help="its name in the folder of the run")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where raw rows are kept")
    given = parser.parse_args()
    if not given.names:
        print("\n\n".join(map(_described, SCENARIOS)))
        return 0
    names = list(SCENARIOS) if given.names == ["all"] else given.names
    if unknown := [name for name in names if name not in SCENARIOS]:
        print(f"error: no scenario {unknown[0]!r}", file=sys.stderr)
        print(f"hint: {', '.join(SCENARIOS)}, all", file=sys.stderr)
        return 2
    # As SystemExit, so that the trees are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="fastcontext-benchmarks-") as folder:
        bench = Bench(Path(folder).resolve(), given.n, _say)
        for name in names:
            _say(name)
            cases = SCENARIOS[name](bench)
            if cases:
                path = keep(name, cases, name=given.machine, runs=given.runs)
                print(f"{_described(name)}\n\n{table(cases)}\n", flush=True)
                _say(f"raw rows in {path}")
    return 0


def _described(name: str) -> str:
    first, _, rest = (SCENARIOS[name].__doc__ or "").partition("\n")
    text = f"{name}: {first}\n{textwrap.dedent(rest).strip()}"
    return text.strip()


def _say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
