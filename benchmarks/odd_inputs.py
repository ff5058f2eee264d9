"""Odd model outputs, tool calls and messages of a client, made from a seed.

Each starts as something that a model or a client does write, and is then damaged, or not.
"""

import json
import random
from typing import Any, Final

ROOT: Final = "/testbed/repo"
PATHS: Final = (
    "src/client.py", "src/pool.py", f"{ROOT}/src/client.py", "/elsewhere/repo/src/pool.py",
    "client.py", "README.md", "12:30.md", "docs/größe.md", "src", ".", "", "/", "..",
    "../../outside.txt", "link.txt", ".env", "build/out.txt", "loop", "missing.py", "/etc/passwd",
    f"{ROOT}/../outside.txt", "data.bin", "src/client.py:2-4", "src/client.py#L2-L4", "long.txt",
    "~", "file:///etc/hosts", "a" * 5_000, "src\\pool.py", "C:\\repo\\src\\pool.py",
    "src/\0pool.py", "\ud83d.py", "*", "-rf", "--pre=sh",
)  # fmt: skip
PATTERNS: Final = (
    "retry", "def \\w+", "*.py", "**/*.{py,md}", "(", "[", "(a+)+$", "(?=x)", "\\", "", ".", "\\b",
    "é", "class|def", "^$", "{1,2}", "a{99999}", "!*", "--files", "-e", "\n", "\0", "OUTSIDE",
    "SECRET", "x" * 9_000,
)  # fmt: skip
VALUES: Final = (
    None, True, False, 0, 1, -1, 7, 2**63, 1e308, 0.5, "", "3", "1e9", "-5", "true", "no", "4-6",
    [2, 4], [4, -1], ["4"], [], [[1, 2]], {}, {"start": 1, "end": 2}, "content", "count",
    "files_with_matches", "py", "\u202e", "nan",
)  # fmt: skip
_NAMES: Final = (
    "Read", "Glob", "Grep", "read", "GREP", "read_file", "functions.Read", "ripgrep", "Bash", "",
    "\0", "é",
)  # fmt: skip
_KEYS: Final = (
    "path", "file_path", "pattern", "query", "glob", "directory", "offset", "limit", "end", "lines",
    "view_range", "range", "output_mode", "-A", "-B", "-C", "-n", "-i", "type", "head_limit",
    "multiline", "startLine", "x", "",
)  # fmt: skip
_PIECES: Final = (
    "<tool_call>", "</tool_call>", "<final_answer>", "</final_answer>", "<think>", "</think>",
    "&lt;tool_call&gt;", "&lt;/tool_call&gt;", "&lt;final_answer&gt;", "<TOOL_CALL>", "```json",
    "```", "`", "<|python_tag|>", "[TOOL_CALLS]", "<function=Read>", "<parameter=path>",
    "</parameter>", "</function>", "<|im_end|>", "</tool_response>", "{", "}", "[", "]", '"', "'",
    "\\", "\\u12", "\n", "\n\n", ":", "-", "<", "&", "&lt;", "é", "計算", "\u200b", "\u202e",
    "\ud83d", "\0", "I look there. ", "L4-L6", ":2-4", "1. ", "- ",
)  # fmt: skip
_METHODS: Final = ("ping", "tools/list", "prompts/list", "resources/list", "nope", "")
_TOOLS: Final = ("explore_repository", "engine_status", "engine_status", "nope")
_NOTIFICATIONS: Final = ("cancelled", "initialized", "progress", "roots/list_changed", "x")


class OddInputs:
    """Makes inputs; the same seed makes the same ones, in the same order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def model_output(self) -> str:
        """A message of a model: calls, answers and prose, whole or damaged."""
        some = self._random
        if some.random() < 0.3:
            # As it should be, so that explorations get somewhere.
            call = json.dumps({"name": "Read", "arguments": {"path": some.choice(PATHS[:3])}})
            answer = f"<final_answer>\n{some.choice(PATHS[:3])}:2-4\n</final_answer>"
            return some.choice((f"<tool_call>\n{call}\n</tool_call>", answer))
        parts = [self._part() for _ in range(some.choice((1, 1, 1, 2, 2, 3, 5)))]
        text = some.choice(("", "\n", "\n\n")).join(parts)
        return self._damaged(text) if some.random() < 0.6 else text

    def pieces(self, text: str) -> list[str]:
        """The text cut anywhere, as servers stream it."""
        pieces = []
        while text:
            size = self._random.choice((1, 2, 5, 16, 60, 400))
            pieces.append(text[:size])
            text = text[size:]
        return pieces

    def tool_call(self) -> tuple[str, str]:
        """A tool's name and the text of its arguments."""
        name, given = self._random.choice(_NAMES), self._arguments()
        text = json.dumps(given) if self._random.random() < 0.9 else repr(given)
        return name, self._damaged(text) if self._random.random() < 0.15 else text

    def message(self, number: int, root: str) -> bytes:
        """A line that a client sends; a request has the id ``number``."""
        some = self._random
        message = self._message(number, root)
        text = json.dumps(message, ensure_ascii=some.random() < 0.5)
        data = text.encode("utf-8", "surrogatepass")
        if some.random() < 0.2:
            at = some.randrange(len(data))
            noise = bytes(some.randrange(256) for _ in range(some.choice((0, 1, 3))))
            data = data[:at] + noise + data[at + some.choice((0, 1, 9)) :]
        return data.replace(b"\n", b" ")

    def cancels_at(self) -> int:
        """After how many events an exploration is cancelled; often later than its end."""
        return self._random.choice((1, 2, 3, 5, 8, 1_000, 1_000, 1_000))

    def _part(self) -> str:
        some = self._random
        kind = some.randrange(8)
        if kind < 3:
            return self._call()
        if kind < 5:
            return self._answer()
        if kind == 5:
            return f"<think>{some.choice(PATTERNS)}</think>\n"
        return "".join(some.choice(_PIECES) for _ in range(some.randrange(1, 12)))

    def _call(self) -> str:
        some = self._random
        name, arguments = self.tool_call()
        body = f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
        xml = (
            f"<function={name}>\n<parameter=path>\n{some.choice(PATHS)}\n</parameter>\n</function>"
        )
        forms = (
            body,
            f"```json\n{body}\n```",
            f"<|python_tag|>{body}",
            f"[TOOL_CALLS][{body}]",
            xml,
        )
        if some.random() < 0.6:
            inner = some.choice((body, xml))
            return f"<tool_call>\n{inner}\n</tool_call>"
        return some.choice(forms)

    def _answer(self) -> str:
        some = self._random
        places = [
            (some.choice(PATHS), some.randrange(12), some.randrange(40))
            for _ in range(some.randrange(4))
        ]
        form = some.randrange(4)
        if form == 0:
            text = json.dumps([{"path": path, "start": a, "end": b} for path, a, b in places])
        elif form == 1:
            text = "\n".join(f'<file path="{path}" lines="{a}-{b}"/>' for path, a, b in places)
        else:
            mark = some.choice((":", "#L", ", lines ", " ("))
            text = "\n".join(
                f"{some.choice(('', '- '))}{path}{mark}{a}-{b}" for path, a, b in places
            )
        return f"<final_answer>\n{text}\n</final_answer>" if some.random() < 0.8 else text

    def _arguments(self) -> dict[str, Any]:
        some = self._random
        given: dict[str, Any] = {}
        if some.random() < 0.4:
            return {"path": some.choice(PATHS[:7]), "pattern": some.choice(PATTERNS[:4])}
        if some.random() < 0.85:
            given[some.choice(_KEYS[:2])] = some.choice(PATHS)
        if some.random() < 0.7:
            given[some.choice(_KEYS[2:4])] = some.choice(PATTERNS)
        for _ in range(some.randrange(3)):
            given[some.choice(_KEYS)] = some.choice(
                (*VALUES, some.choice(PATHS), some.choice(PATTERNS))
            )
        return given

    def _damaged(self, text: str) -> str:
        some = self._random
        for _ in range(some.choice((1, 1, 2, 4))):
            at = some.randrange(len(text) + 1)
            end = min(len(text), at + some.choice((0, 1, 2, 8, 40)))
            middle = some.choice(("", some.choice(_PIECES), text[at:end] * 2, text[end : end + 30]))
            text = text[:at] + middle + text[end:]
        return text

    def _message(self, number: int, root: str) -> Any:
        some = self._random
        odd = some.choice(VALUES)
        kind = some.randrange(12)
        if kind < 3:
            params: Any = some.choice(({}, {}, odd))
            method = some.choice(
                ("ping", "tools/list", "prompts/list", "resources/list", "nope", "")
            )
            return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        if kind < 6:
            given: dict[str, Any] = {"query": some.choice((*PATTERNS, *VALUES)), "path": root}
            for key in ("max_citations", "deadline_s", "include_hidden", "path", "x"):
                if some.random() < 0.3:
                    given[key] = some.choice((*VALUES, some.choice(PATHS)))
            name = some.choice(
                ("explore_repository", "engine_status", "engine_status", "nope", odd)
            )
            call = {"name": name, "arguments": some.choice((given, given, odd))}
            return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}
        if kind < 9:
            cancelled = {"requestId": some.choice((number - 1, number - 3, odd)), "reason": odd}
            method = some.choice(
                ("cancelled", "initialized", "progress", "roots/list_changed", "x")
            )
            return {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": cancelled}
        if kind == 9:
            return {"jsonrpc": "2.0", "id": some.choice((number, odd)), "result": odd}
        if kind == 10:
            return {"jsonrpc": odd, "id": odd, "method": some.choice(("ping", odd)), "params": odd}
        return odd
