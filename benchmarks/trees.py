"""Trees of source files to search: the same number of files gives the same bytes everywhere."""

import random
from pathlib import Path

FILES_PER_DIRECTORY = 25
NEEDLES = ("quokka_ledger", "numbat_relay", "potoroo_index", "bilby_gate")
NEEDLE_FILES = 20
"""How many files hold each needle, whatever the size of the tree."""

_WORDS = (
    "account address amount archive batch buffer cache channel client cluster column commit "
    "config context counter cursor decoder device digest encoder entry event export factory "
    "filter format frame gateway handler header import index inventory invoice job journal key "
    "label ledger limit listener loader lock mapper matrix merge message metric mirror monitor "
    "node notify object order packet parser patch payload policy pool price probe profile proxy "
    "queue quota record registry relay render report request resolver response retry route row "
    "sample schema scope segment session shard signal snapshot socket source stage state stream "
    "summary sync table tag target task template ticket token topic tracker transfer trigger "
    "tuple update upload user validator value vector version view visitor watch weight window "
    "worker writer zone"
).split()


def tree(folder: Path, files: int, functions: tuple[int, int] = (4, 10)) -> Path:
    """A repository of ``files`` Python files below ``folder``; made if it does not exist yet.

    ``functions`` are the lowest and the highest number in a file; each takes some 280 bytes.
    """
    kind = "" if functions == (4, 10) else f"-{functions[0]}-{functions[1]}"
    root = folder / f"tree-{files}{kind}"
    if root.is_dir():
        return root
    random_numbers = random.Random(files)
    making = folder / f"making-{files}{kind}"
    (making / ".git").mkdir(parents=True)
    (making / ".gitignore").write_text("build/\n", encoding="utf-8")
    holders = _holders(files, random_numbers)
    for number in range(files):
        path = making / _path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        needles = [needle for needle in NEEDLES if number in holders[needle]]
        path.write_text(_module(number, needles, random_numbers, functions), encoding="utf-8")
    making.rename(root)
    return root


def _holders(files: int, random_numbers: random.Random) -> dict[str, frozenset[int]]:
    few = min(files, NEEDLE_FILES)
    return {needle: frozenset(random_numbers.sample(range(files), few)) for needle in NEEDLES}


def _path(number: int) -> str:
    group = number // FILES_PER_DIRECTORY
    package, part = divmod(group, 20)
    return f"package_{package:03}/{_WORDS[part]}/{_WORDS[number % 97]}_{number:05}.py"


def _module(
    number: int, needles: list[str], random_numbers: random.Random, functions: tuple[int, int]
) -> str:
    """A docstring, imports, functions with bodies of a few lines."""
    choose = random_numbers.choice
    lines = [f'"""The {choose(_WORDS)} of the {choose(_WORDS)}."""', "", "import json", ""]
    for at in range(random_numbers.randint(*functions)):
        one, other, third = choose(_WORDS), choose(_WORDS), choose(_WORDS)
        name = f"{one}_{other}_{number}"
        if at < len(needles):
            name = f"{needles[at]}_{number}"
        size = random_numbers.randint(1, 99)
        lines += [
            "",
            f"def {name}({third}: int, {other}_size: int = {size}) -> int:",
            f'    """The {one} of a {other}, from its {third}."""',
            f"    {one}_total = {third} * {random_numbers.randint(2, 9)}",
            f"    if {one}_total > {other}_size:",
            f'        raise ValueError("the {third} does not fit the {other}")',
            f"    return {one}_total + len(json.dumps({third}))",
            "",
        ]
    return "\n".join(lines)
