"""The pages of docs/reference, made from settings, commands, tools and events."""

import ast
import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import typer
from pydantic_core import PydanticUndefined
from typer.models import ArgumentInfo, ParameterInfo

from explorer import records, trajectory
from server.settings import PREFIX, Settings

_HEAD = "<!-- Made by `python -m scripts.generate`; change the code instead. -->\n\n"


def first_sentence(text: str | None) -> str:
    """The text up to its first full stop that ends a sentence."""
    flat = " ".join((text or "").split())
    return flat.partition(". ")[0].rstrip(".") + "."


def meanings() -> dict[str, str]:
    """What the docstring of each setting says.

    Pydantic can read them too, but would do so at each start, which takes 15 ms.
    """
    [settings] = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(settings, ast.ClassDef)
    found = {}
    for field, told in pairwise(settings.body):
        match field, told:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                found[name] = inspect.cleandoc(text)
    return found


def settings_page() -> str:
    """Every setting with its variable, default and meaning."""
    rows, told = [], meanings()
    for name, field in Settings.model_fields.items():
        default = "" if field.default is PydanticUndefined else _plain(field.default)
        meaning = " ".join(told[name].split())
        rows.append(f"| `{PREFIX}{name.upper()}` | `{name}` | {default} | {_cell(meaning)} |")
    return (
        f"{_HEAD}# Settings\n\n"
        "By flag, by environment variable, or by key in "
        "`$XDG_CONFIG_HOME/fastcontext/config.toml`, in this order. The file is by default "
        "`~/.config/fastcontext/config.toml`, on macOS "
        "`~/Library/Application Support/fastcontext/config.toml`. Nothing inside an explored "
        "repository is ever read as configuration. An unknown name is an error.\n\n"
        "| variable | key | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def commands_page() -> str:
    """Every command with its arguments and options."""
    from server.commands.root import commands

    intro = (
        "Exit status: 0 answered, 1 failed, 2 wrong usage. Beside the commands there are "
        "`--version`, `--install-completion` and `--show-completion`; `docs/terminal.md` says more."
    )
    parts = [f"{_HEAD}# Commands\n\n{intro}\n"]
    parts += [_command(name, command) for name, command in sorted(_walk(commands(), ""))]
    return "\n".join(parts)


def _walk(app: typer.Typer, prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for info in app.registered_commands:
        if info.callback is not None and not info.hidden:
            yield prefix + (info.name or info.callback.__name__.replace("_", "-")), info.callback
    for group in app.registered_groups:
        if group.typer_instance is not None:
            own = group.name or group.typer_instance.info.name
            name = f"{own} " if isinstance(own, str) else ""
            yield from _walk(group.typer_instance, prefix + name)


def _command(name: str, command: Callable[..., Any]) -> str:
    arguments, options = [], []
    hints = typing.get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        info = next(each for each in hint.__metadata__ if isinstance(each, ParameterInfo))
        if info.hidden:
            continue
        choices = ", ".join(f"`{each}`" for each in _choices(typing.get_args(hint)[0]))
        told = _cell(info.help or "") + (f" One of {choices}." if choices else "")
        if isinstance(info, ArgumentInfo):
            shown = str(info.metavar or parameter.name).strip("{}").upper()
            required = parameter.default is inspect.Parameter.empty
            arguments.append(shown if required else f"[{shown}]")
            options.append(f"| `{shown}` | {told} |")
        else:
            # Where the type is annotated, the first name stands in the place of the default.
            given = [info.default, *(info.param_decls or ())]
            flags = [each for each in given if isinstance(each, str) and each.startswith("-")]
            if not flags:
                plain = parameter.name.replace("_", "-")
                flags = [f"--{plain}"]
                flags += [f"--no-{plain}"] if typing.get_args(hint)[0] is bool else []
            names = ", ".join(f"`{each}`" for each in flags)
            options.append(f"| {names} | {told} |")
    head = " ".join(["fastcontext", name, *arguments])
    told = " ".join((inspect.getdoc(command) or "").split())
    table = "\n".join(["", "| | |", "|---|---|", *options, ""]) if options else ""
    return f"## `{head}`\n\n{told}\n{table}"


def _choices(hint: Any) -> list[str]:
    for each in (hint, *typing.get_args(hint)):
        if typing.get_origin(each) is typing.Literal:
            return [str(value) for value in typing.get_args(each)]
    return []


def tools_page() -> str:
    """Every tool and prompt as clients are told of them."""
    tools, prompts = anyio.run(_offered)
    parts = [f"{_HEAD}# Tools and prompts\n"]
    for tool in tools:
        schema = json.dumps(tool["inputSchema"], indent=2)
        hints = json.dumps(tool["annotations"])
        parts.append(
            f"## `{tool['name']}`\n\n{tool['description']}\n\nAnnotations: `{hints}`\n\n"
            f"```json\n{schema}\n```\n"
        )
    parts += [f"## Prompt `{each['name']}`\n\n{each['description']}\n" for each in prompts]
    return "\n".join(parts)


async def _offered() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from mcp import Client

    from server.protocol.app import build_server

    async with Client(build_server(Settings())) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
    return (
        [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in tools],
        [each.model_dump(by_alias=True, exclude_none=True, mode="json") for each in prompts],
    )


def trajectory_page() -> str:
    """The format of a record: its lines and the fields of each."""
    intro = " ".join((inspect.getdoc(trajectory) or "").replace("``", "`").split())
    kinds = {value: key for key, value in trajectory._NAMES.items()}
    parts = [f"{_HEAD}# Trajectory, format {trajectory.FORMAT}\n\n{intro}\n"]
    for name, kind in kinds.items():
        parts.append(_record(f'"event": "{name}"', kind))
    shapes: list[type[Any]] = [
        records.Exploration,
        records.Citation,
        records.Excerpt,
        records.Link,
        records.OutlineEntry,
        records.Usage,
        records.ToolCall,
        records.ToolResult,
        records.Span,
    ]
    parts += [_record(kind.__name__, kind) for kind in shapes]
    return "\n".join(parts)


def _record(title: str, kind: type[Any]) -> str:
    source = inspect.getsource(kind)
    rows = [
        f"| `{field.name}` | `{_type(typing.get_type_hints(kind)[field.name])}` "
        f"| {_cell(_told(source, field.name))} |"
        for field in dataclasses.fields(kind)
    ]
    table = "\n".join(["| field | type | |", "|---|---|---|", *rows])
    return f"## `{title}`\n\n{' '.join((inspect.getdoc(kind) or '').split())}\n\n{table}\n"


def _told(source: str, name: str) -> str:
    """The docstring below a field."""
    lines = source.splitlines()
    for index, line in enumerate(lines[:-1]):
        following = lines[index + 1].strip()
        if line.strip().startswith(f"{name}:") and following.startswith('"""'):
            rest = "\n".join(lines[index + 1 :]).strip().removeprefix('"""')
            return " ".join(rest.partition('"""')[0].split())
    return ""


def _type(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_type(each) for each in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return ", ".join(json.dumps(each) for each in typing.get_args(hint))
    if origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence":
        return f"list of {_type(typing.get_args(hint)[0])}"
    if getattr(origin, "__name__", "") == "Mapping":
        return "object"
    plain = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return plain.get(hint, getattr(hint, "__name__", str(hint)))


def _plain(value: Any) -> str:
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path):
        return f"`{value}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")
