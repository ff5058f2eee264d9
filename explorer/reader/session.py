"""The trained reader at work, on onnxruntime.

Each pair of question and passage is a run of its own, as long as it is, on one thread, and threads
take pairs side by side. So a score depends on nothing but its pair: neither on padding, nor on what
else is read, nor on the number of cores; with int8 ranges that are taken from each run, it would
otherwise. It is faster, too: no tokens are padding, a pair's tensors stay in the cache of its core,
and no threads have to meet within the network. Of 64 passages of this project 101 a second were
read so on two threads, 38 in batches of sixteen on two threads of onnxruntime's, 51 if the batches
were sorted by length (the best of five rounds in turns, int8 MiniLM, two cores with VNNI, with
other work on them). onnxruntime starts no threads, so none waits or spins between questions.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from explorer.errors import ReaderError
from explorer.limits import Deadline
from explorer.reader.words import CLS, PASSAGE_TOKENS, QUESTION_TOKENS, SEP, Vocabulary

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS: Final = Path(__file__).with_name("weights")
"""Holds ``reader.onnx``, ``vocab.txt`` and ``card.json``."""
_INSTALL: Final = "hint: pip install onnxruntime"
_REINSTALL: Final = "hint: install fastcontext-mcp again"
_MOST_THREADS: Final = 4
_ERRORS_ONLY: Final = 3
"""A level of onnxruntime's log. It warns on stderr of every machine without a GPU."""

logger = logging.getLogger(__name__)


class Reader:
    """Says how well passages answer a question; any number of threads may use one at once."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """The reader in the folder; ``threads`` read for each question.

        By default they are as many as the cores that this process may use, at most four.

        Raises:
            ReaderError: onnxruntime or the weights cannot be loaded.
        """
        try:
            self.card: dict[str, Any] = json.loads((folder / "card.json").read_text("utf-8"))
            """What the weights were made from."""
            self._vocabulary = Vocabulary.read(folder / "vocab.txt")
        except (OSError, ValueError) as error:
            raise ReaderError(
                f"the reader's weights cannot be read: {error}; {_REINSTALL}"
            ) from error
        self._session = _open_session(folder / "reader.onnx")
        self._threads = threads or min(_MOST_THREADS, _cores())

    def read(
        self,
        question: str,
        passages: Iterable[str],
        *,
        deadline: Deadline,
        cancelled: Callable[[], bool],
    ) -> NDArray[np.float32]:
        """The scores of the first passages, in their order: as many as there is time for.

        Higher is better; scores for different questions do not compare. No passage is begun that
        would not end within the deadline, going by the slowest one before.

        Raises:
            ReaderError: onnxruntime fails.
        """
        asked = self._vocabulary.tokens(question, QUESTION_TOKENS)
        queue = _Queue(asked, self._vocabulary, iter(passages), deadline, cancelled)
        with ThreadPoolExecutor(max(1, self._threads - 1), "reader") as pool:
            helpers: list[Future[None]] = []
            # While the interpreter shuts down it starts no threads; then this one reads alone.
            with suppress(RuntimeError):
                for _ in range(self._threads - 1):
                    helpers.append(pool.submit(self._work, queue))  # noqa: PERF401 - keeps some
            self._work(queue)
        for helper in helpers:
            helper.result()
        return np.array([queue.scores[at] for at in range(len(queue.scores))], np.float32)

    def _work(self, queue: "_Queue") -> None:
        while (taken := queue.take()) is not None:
            number, pair = taken
            begun = time.perf_counter()
            try:
                [score] = self._session.run(["score"], pair)
            except Exception as error:
                # onnxruntime's own exceptions have no base but this one.
                queue.stop()
                raise ReaderError(f"the reader failed: {error}") from error
            queue.put(number, float(score[0]), time.perf_counter() - begun)


class _Queue:
    """The passages of one question, on their way through the threads."""

    def __init__(
        self,
        asked: list[int],
        vocabulary: Vocabulary,
        passages: Iterator[str],
        deadline: Deadline,
        cancelled: Callable[[], bool],
    ) -> None:
        self.scores: dict[int, float] = {}
        self._asked = asked
        self._vocabulary = vocabulary
        self._passages = passages
        self._deadline = deadline
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._taken = 0
        self._sizes: dict[int, int] = {}
        self._token_s = 0.0
        self._stopped = False

    def take(self) -> tuple[int, dict[str, NDArray[np.int64]]] | None:
        """The next passage's number and pair; None from when there is none, or no time for it."""
        with self._lock:
            text = None if self._stopped or self._cancelled() else next(self._passages, None)
            if text is None:
                self._stopped = True
                return None
            pair = pair_of(self._asked, self._vocabulary.tokens(text, PASSAGE_TOKENS))
            size = pair["input_ids"].size
            left_s = self._deadline.left_s
            if not left_s or size * self._token_s > left_s:
                self._stopped = True
                return None
            number, self._taken = self._taken, self._taken + 1
            self._sizes[number] = size
            return number, pair

    def put(self, number: int, score: float, took_s: float) -> None:
        """Take the score of a passage, and how long it took."""
        with self._lock:
            self.scores[number] = score
            self._token_s = max(self._token_s, took_s / self._sizes[number])

    def stop(self) -> None:
        """Let no passage be taken any more."""
        self._stopped = True


def pair_of(question: list[int], passage: list[int]) -> dict[str, NDArray[np.int64]]:
    """The inputs of the network for the tokens of a question and of a passage."""
    middle, end = len(question) + 2, len(question) + len(passage) + 3
    return {
        "input_ids": np.array([[CLS, *question, SEP, *passage, SEP]], np.int64),
        "token_type_ids": np.array([[0] * middle + [1] * (end - middle)], np.int64),
        "attention_mask": np.ones((1, end), np.int64),
    }


_loading = threading.Lock()
_shared: Future[Reader] | None = None


def shared_reader() -> Future[Reader]:
    """The reader of this process. A thread loads it, once, from when it is first asked for.

    Its result raises ``ReaderError`` if onnxruntime or the weights cannot be loaded.
    """
    global _shared
    with _loading:
        if _shared is None:
            _shared = Future()
            try:
                threading.Thread(target=_load, args=(_shared,), name="reader-loading").start()
            except RuntimeError as error:
                _shared.set_exception(ReaderError(f"the reader cannot be loaded: {error}"))
        return _shared


def load_reader() -> Reader:
    """The reader of this process; waits until it is loaded.

    Raises:
        ReaderError: onnxruntime or the weights cannot be loaded.
    """
    return shared_reader().result()


def _load(into: Future[Reader]) -> None:
    try:
        into.set_result(Reader(WEIGHTS))
    except Exception as error:
        logger.info("no reader: %s", error)
        known = isinstance(error, ReaderError)
        into.set_exception(error if known else ReaderError(f"the reader cannot be loaded: {error}"))


def _open_session(path: Path) -> "onnxruntime.InferenceSession":
    try:
        import onnxruntime
    except ImportError as error:
        raise ReaderError(f"onnxruntime cannot be imported: {error}; {_INSTALL}") from error
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # The thread that runs the session does all the work; see the module.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # For each length it would keep a plan of the memory, and the memory.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime's own exceptions have no base but this one.
        raise ReaderError(
            f"the reader's network cannot be loaded: {error}; {_REINSTALL}"
        ) from error


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
