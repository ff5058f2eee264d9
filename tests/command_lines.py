"""The commands that documents name, and whether the programs' own parsers take them."""

import argparse
import importlib
import importlib.util
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from benchmarks.__main__ import SCENARIOS
from scripts.generate import REPOSITORY
from server.commands.root import commands as command_line
from server.view.records import with_default_folder

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OTHERS = frozenset({
    "claude", "codex", "git", "hf", "jq", "llama-server", "llama_cpp.server", "mkdir", "mkdocs",
    "mypy", "ollama", "printf", "pytest", "ruff", "serve", "venv", "vllm",
})  # fmt: skip
"""Programs of others, and modules of theirs; none of their options is checked here."""
NO_OPTIONS = frozenset({"server.main", "scripts.generate", "scripts.bundle", "scripts.picture"})
"""Modules of ours whose arguments are plain."""
_WITH_MAIN = frozenset({"benchmarks", "scripts.clients"})
_USAGE: type[BaseException] = typer.BadParameter.__bases__[0]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a page: in its blocks, and of ours those in its sentences."""
    for language, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            shown = line.strip()
            if shown.startswith("$ "):
                yield from split(shown.removeprefix("$ "))
            elif not language and re.match(r"[\w./]*(python3?|pip|fastcontext|vllm) ", shown):
                yield from split(shown)
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
        if re.match(r"[\w./]*(fastcontext|python3? -m|uvx|uv tool install|pip install) ", code):
            yield from split(code)


def split(line: str) -> Iterator[list[str]]:
    """The simple commands of a line, without the variables that they set and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in ("&&", "|", ";"):
            if words:
                yield words
            words = []
        elif words and words[-1] in ("<", ">", ">>"):
            words.pop()
        elif words or not re.match(r"\w+=|export$", word):
            words.append(word)


def check_page(text: str) -> None:
    """Fail unless the programs' own parsers take every command of a page."""
    for words in commands(text):
        check(words)


def check(words: list[str]) -> None:
    """Fail unless the program's own parser takes the words; ``...`` stands for some of them."""
    first, *rest = words
    program = Path(first).name
    if program == "uvx":
        if rest[0] == "--from":
            assert rest[1] in (".", f"git+{REPOSITORY}"), words
        check(rest[2:] if rest[0] == "--from" else rest)
    elif program in ("fastcontext", "fastcontext-mcp"):
        _parse([word for word in rest if word != "..."])
    elif program.startswith("python") and rest[0] == "-m":
        _parse_in(rest[1], rest[2:])
    elif program in ("pip", "uv"):
        for extras in re.findall(r"(?:fastcontext-mcp|\.)\[([\w,-]+)\]", " ".join(rest)):
            assert set(extras.split(",")) <= EXTRAS.keys(), words
    elif first.startswith((".", "/")) and "/bin/" not in first:
        assert (ROOT / first).is_file(), words
    else:
        assert program in OTHERS or program.startswith("python"), words


_COMPLETION = ("--install-completion", "--show-completion")


def _parse(arguments: list[str]) -> None:
    """Let the command line's parser read the arguments; a sentence may leave some out."""
    command = get_command(command_line())
    # These act while they are parsed: one writes into the shell's own file.
    arguments = [each for each in arguments if each not in _COMPLETION]
    try:
        context = command.make_context("fastcontext", with_default_folder(arguments))
        while left := getattr(context, "_protected_args", None):
            _, command, rest = command.resolve_command(context, [*left, *context.args])
            context = command.make_context("fastcontext", rest, parent=context)
    except typer.Exit:
        pass  # --version
    except _USAGE as error:
        if type(error).__name__ not in ("MissingParameter", "NoArgsIsHelpError"):
            pytest.fail(f"fastcontext {' '.join(arguments)}: {error}")


class _Parsed(Exception):
    """The module's parser took its arguments."""


def _parse_in(module: str, arguments: list[str]) -> None:
    """Let the parser of a module of this project read the arguments, and stop it there."""
    if module in OTHERS:
        return
    if module in NO_OPTIONS:
        assert importlib.util.find_spec(module)
        return
    lacks = "..." in arguments
    pairs = zip(["", *arguments], arguments, strict=False)
    given = [word for before, word in pairs if word != "..." or before.startswith("--")]
    if module == "benchmarks" and given and not any(word.startswith("-") for word in given):
        assert {name for name in given if name != "NAME"} <= SCENARIOS.keys()
    parse_args = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, given: list[str] | None = None) -> None:
        parse_args(parser, given)
        raise _Parsed

    def error(parser: argparse.ArgumentParser, message: str) -> None:
        if not (lacks and "are required" in message):
            pytest.fail(f"{module} {' '.join(arguments)}: {message}")
        raise _Parsed

    main = importlib.import_module(f"{module}.__main__" if module in _WITH_MAIN else module).main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        patch.setattr(argparse.ArgumentParser, "error", error)
        patch.setattr(sys, "argv", [module, *given])
        with pytest.raises(_Parsed):
            main()
