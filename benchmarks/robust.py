"""Whether anything that a model, a tool call or a client can hold breaks the server."""

import functools
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import anyio
import anyio.from_thread

from benchmarks.measure import Bench, Case
from benchmarks.memory import peak_bytes
from benchmarks.odd_inputs import OddInputs
from benchmarks.start import Server, environment
from explorer.answers.citations import REASON as SALVAGED
from explorer.answers.parse import citations_outside, parse_answer
from explorer.engines.scripted import ScriptedEngine, Turn
from explorer.errors import AnswerError, EngineTimeout
from explorer.events import Event
from explorer.hermes.parser import HermesEvent, HermesParser, Prose
from explorer.hermes.untagged import untagged_calls
from explorer.limits import Deadline, LoopSettings
from explorer.loop import explore_with_model
from explorer.records import Citation, Exploration, Span, ToolCall
from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox, canonical_key

OUTPUTS: Final = 100_000
SEED: Final = 20_261_128
_ROWS: Final = 100
"""How many samples the inputs of a kind are divided into."""
_MAX_FAILURES: Final = 20
_AT_ONCE: Final = 64
_TURNS: Final = 16
_PATIENCE_S: Final = 60.0
_MAX_UNANSWERED: Final = 3
"""Each is waited for so long that more would keep whoever runs this from seeing any."""
_SECRETS: Final = ("OUTSIDE-TOKEN", "DOTENV-TOKEN", "IGNORED-TOKEN")
_CODE: Final = "def retry_delay(n):\n    return min(30, 2**n)\n\n\nclass Client:\n    pass\n" * 3


def robust(bench: Bench) -> list[Case]:
    """Odd inputs from a seed: 100,000 model outputs, 10,000 each of tool calls and messages.

    The outputs are parsed in any chunks. 2,500 explorations play such outputs to the whole loop
    with real tools, 64 at once, and some are cancelled. The messages go to a server process over
    stdio. Nothing may raise, differ by its chunks, cite what was not read, show what is outside or
    hidden, leave a request without an answer, or leave descriptors open. The seed and the number
    of an input make it again. ``-n`` is the number of outputs; the others keep their proportion.
    """
    root = _tree(bench.folder / "robust")
    outputs = bench.count(OUTPUTS)
    return [
        _measured(bench, "model outputs", outputs, _read_outputs),
        _measured(bench, "tool calls", outputs // 10, functools.partial(_run_calls, root)),
        _measured(bench, "explorations", outputs // 40, functools.partial(_explore, root)),
        _measured(bench, "messages", outputs // 10, functools.partial(_send_messages, root, bench)),
    ]


class Failures:
    """What went wrong, with what makes it again."""

    def __init__(self, kind: str) -> None:
        self.found: list[str] = []
        self.count = 0
        self._kind = kind

    def add(self, number: int, problem: object) -> None:
        """Record a problem of the input with this number."""
        self.count += 1
        if len(self.found) < _MAX_FAILURES:
            said = repr(problem) if isinstance(problem, BaseException) else str(problem)
            self.found.append(f"{self._kind}, seed {SEED}, number {number}: {said[:400]}")


Run = Callable[[int, Failures], Iterator[str]]
"""Tries so many inputs; yields after each share of them, at the end with what proves the work."""


def _measured(bench: Bench, kind: str, count: int, run: Run) -> Case:
    bench.say(f"{count:,} {kind}")
    failures = Failures(kind)
    samples: list[float] = []
    begun, proof = time.perf_counter(), ""
    for told in run(count, failures):
        proof = told
        samples.append((time.perf_counter() - begun) * 1e3)
        begun = time.perf_counter()
    share = "64 at once" if kind == "explorations" else "1% of them"
    work = f"{count:,} {kind}, {failures.count} failures{proof and ', '}{proof}"
    return Case(f"{kind}, {share}", tuple(samples), "ms", "", work, tuple(failures.found))


def _shares(count: int) -> Iterator[range]:
    """The numbers of the inputs in shares of about one hundredth."""
    size = -(-count // _ROWS)
    return (range(at, min(count, at + size)) for at in range(0, count, size))


def _read_outputs(count: int, failures: Failures) -> Iterator[str]:
    odd = OddInputs(SEED)
    for share in _shares(count):
        for number in share:
            text = odd.model_output()
            try:
                pieces = odd.pieces(text)
                if (whole := _events([text])) != (cut := _events(pieces)):
                    failures.add(number, f"in pieces {cut!r}, not {whole!r}")
                untagged_calls(text, bool)
                for each in (*parse_answer(text).citations, *citations_outside(text)):
                    if not each.path or (each.start or 0) > (each.end or 1 << 40):
                        failures.add(number, f"the citation {each!r}")
            except Exception as error:
                failures.add(number, error)
        yield ""


def _events(pieces: list[str]) -> list[HermesEvent]:
    """The events of a message, neighbouring prose joined."""
    parser = HermesParser()
    found = [event for piece in pieces for event in parser.feed(piece)] + parser.close()
    joined: list[HermesEvent] = []
    for event in found:
        last = joined[-1] if joined else None
        if isinstance(event, Prose) and isinstance(last, Prose):
            joined[-1] = Prose(last.text + event.text)
        else:
            joined.append(event)
    return joined


def _run_calls(root: Path, count: int, failures: Failures) -> Iterator[str]:
    odd = OddInputs(SEED + 1)
    with Workspace.open(root) as workspace, anyio.from_thread.start_blocking_portal() as portal:
        box = ToolBox(workspace)
        shown = 0
        for share in _shares(count):
            for number in share:
                call = ToolCall("call", *odd.tool_call())
                room = (200, 1_000, 20_000)[number % 3]
                try:
                    hash(canonical_key(call))
                    result = portal.call(functools.partial(box.run, call, max_chars=room))
                    result.text.encode()
                    shown += result.ok
                    if len(result.text) > room or _tells(result.text):
                        failures.add(number, f"{call!r} gave {result.text!r}")
                    if hidden := {span.path for span in result.observed} - _visible(workspace):
                        failures.add(number, f"{call!r} read {hidden!r}")
                except Exception as error:
                    failures.add(number, error)
            yield f"{shown:,} of them with a result"


def _visible(workspace: Workspace) -> frozenset[str]:
    return workspace.listing.file_set


def _tells(text: str) -> bool:
    return any(secret in text for secret in _SECRETS)


def _explore(root: Path, count: int, failures: Failures) -> Iterator[str]:
    odd = OddInputs(SEED + 2)
    with Workspace.open(root) as workspace, anyio.from_thread.start_blocking_portal() as portal:
        portal.call(_explore_at_once, workspace, odd, range(_AT_ONCE), Failures(""))
        opened, answered = _descriptors(), 0
        for at in range(0, count, _AT_ONCE):
            some = range(at, min(at + _AT_ONCE, count))
            answered += portal.call(_explore_at_once, workspace, odd, some, failures)
            yield f"{answered:,} answered"
        if _descriptors() > opened:
            failures.add(count, f"{_descriptors() - opened} descriptors were left open")


def _descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - Path("/dev/fd").iterdir() opens another


async def _explore_at_once(
    workspace: Workspace, odd: OddInputs, numbers: range, failures: Failures
) -> int:
    """How many explorations of these numbers, all at once, ended with an answer."""
    answered = 0

    async def one(number: int, engine: ScriptedEngine, cancels_at: int) -> None:
        nonlocal answered
        seen = 0
        with anyio.CancelScope() as scope:

            def listen(_: Event) -> None:
                nonlocal seen
                seen += 1
                if seen == cancels_at:
                    scope.cancel()

            try:
                result = await explore_with_model(
                    "where is the retry delay computed?",
                    engine=engine,
                    workspace=workspace,
                    settings=LoopSettings(),
                    deadline=Deadline(_PATIENCE_S),
                    listener=listen,
                )
            except (AnswerError, EngineTimeout):
                pass
            except Exception as error:
                failures.add(number, error)
            else:
                answered += result.stop_reason == "answered"
                for problem in _problems(result, engine, workspace):
                    failures.add(number, problem)

    async with anyio.create_task_group() as group:
        for number in numbers:
            outputs = [odd.model_output() for _ in range(12)]
            # A turn may be cut by the length limit, and the last output repeats an answer's form.
            turns = [
                Turn(text, reason="length" if at % 5 == 4 else "stop")
                for at, text in enumerate(outputs)
            ]
            group.start_soon(one, number, ScriptedEngine(turns, chunk_chars=7), odd.cancels_at())
    return answered


def _problems(result: Exploration, engine: ScriptedEngine, workspace: Workspace) -> Iterator[str]:
    """What an exploration must not do."""
    for each in result.citations:
        # What is salvaged may have been read without a request that showed it to the model.
        shown = (
            [Span(each.path, each.start, each.end)] if each.reason == SALVAGED else result.observed
        )
        if each.path not in _visible(workspace) or list(_unread_words(each, shown, workspace)):
            yield f"the citation {each!r} was not read"
    for before, after in zip(engine.requests, engine.requests[1:], strict=False):
        if list(after.messages[: len(before.messages)]) != list(before.messages):
            yield "a request does not extend the one before it"
    if engine.requests and _tells(json.dumps(engine.requests[-1].messages)):
        yield "the model was shown what is hidden"


def _unread_words(citation: Citation, shown: Sequence[Span], workspace: Workspace) -> Iterator[int]:
    """The cited lines that hold a word and were not shown."""
    lines = workspace.read(citation.path).lines
    for number in range(citation.start, citation.end + 1):
        if not any(
            span.path == citation.path and span.start <= number <= span.end for span in shown
        ):
            if any(char.isalnum() for char in lines[number - 1]):
                yield number


def _send_messages(root: Path, bench: Bench, count: int, failures: Failures) -> Iterator[str]:
    odd = OddInputs(SEED + 3)
    with Server(environment(bench.folder)) as server:
        client = _Client(server)
        server.initialize()
        server.initialized()
        client.start()
        for share in _shares(count):
            for number in share:
                client.send(odd.message(number, str(root)))
            # What is sent after a request without an answer would hide which one it was.
            if problem := client.settle(share.stop):
                failures.add(share.stop, problem)
            if client.ended or failures.count >= _MAX_UNANSWERED:
                break
            answered = f"{client.answers:,} answers"
            yield f"{answered}, peak {peak_bytes(server.process.pid) / 1e6:.0f} MB"
        for problem in client.problems:
            failures.add(count, problem)


class _Client:
    """Writes lines, and reads what comes back in a thread, as a full pipe would block both."""

    def __init__(self, server: Server) -> None:
        self.answers = 0
        self.problems: list[str] = []
        self.ended = False
        self._server = server
        self._came: queue.Queue[object] = queue.Queue()
        self._waiting: set[int] = set()

    def start(self) -> None:
        """Begin to read; the handshake has to be over."""
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, line: bytes) -> None:
        """Send a line as it is."""
        assert self._server.process.stdin is not None
        asked, cancelled = _requests(line)
        # What is cancelled need not be answered any more (MCP, "Cancellation").
        self._waiting = (self._waiting | asked) - cancelled
        try:
            self._server.process.stdin.write(line + b"\n")
            self._server.process.stdin.flush()
        except OSError as error:
            self.ended = True
            self.problems.append(f"the server went away: {error}")

    def settle(self, number: int) -> str:
        """Wait for a ping's answer, and those of all requests before it; what is missing."""
        ping = f"ping-{number}"
        self.send(json.dumps({"jsonrpc": "2.0", "id": ping, "method": "ping"}).encode())
        deadline = Deadline(_PATIENCE_S)
        pinged = False
        while not self.ended and (not pinged or self._waiting):
            try:
                came = self._came.get(timeout=max(0.0, deadline.left_s))
            except queue.Empty:
                missing, self._waiting = sorted(self._waiting), set()
                return (
                    f"no answer to the requests {missing[:9]!r}"
                    if pinged
                    else "no answer to a ping"
                )
            pinged = pinged or came == ping
            if isinstance(came, int):
                self._waiting.discard(came)
        return ""

    def _read(self) -> None:
        assert self._server.process.stdout is not None
        for line in self._server.process.stdout:
            try:
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
            except (ValueError, KeyError, TypeError, AssertionError):
                self.problems.append(f"on stdout: {line[:200]!r}")
                continue
            if "method" not in message:
                self.answers += 1
                self._came.put(message.get("id"))
        self.ended = True
        self._came.put("the end")


def _requests(line: bytes) -> tuple[set[int], set[int]]:
    """The id that the line has to be answered with, if it is a request; and what it cancels."""
    try:
        message = json.loads(line.decode("utf-8"))
    except ValueError:
        return set(), set()
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return set(), set()
    number, method, params = (message.get(key) for key in ("id", "method", "params"))
    if not isinstance(params, dict) or not isinstance(method, str) or not method:
        return set(), set()
    cancelled = params.get("requestId") if method == "notifications/cancelled" else None
    return (
        {number} if type(number) is int else set(),
        {cancelled} if type(cancelled) is int else set(),
    )


def _tree(root: Path) -> Path:
    """A small repository with what tempts a tool to leave it."""
    repository = root / "repo"
    files = {
        "src/client.py": _CODE,
        "src/pool.py": "class Pool:\n    pass\n",
        "README.md": "# A client\n\nIt retries.\n",
        "12:30.md": "# Meeting\n\nretry\n",
        "docs/größe.md": "retry größe 計算\n",
        "long.txt": "x" * 200_000 + "\n" + "retry\n" * 5_000,
        ".env": "TOKEN=DOTENV-TOKEN retry\n",
        ".gitignore": "build/\n",
        "build/out.txt": "IGNORED-TOKEN retry\n",
        "../outside.txt": "OUTSIDE-TOKEN retry\n",
    }
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (repository / "data.bin").write_bytes(b"\x7fELF\0\0retry")
    (repository / "link.txt").symlink_to(root / "outside.txt")
    (repository / "loop").symlink_to(repository / "loop")
    os.mkfifo(repository / "pipe")
    return repository
