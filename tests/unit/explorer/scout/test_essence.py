"""What is left of an issue without its form, its machine and its dumps."""

from explorer.scout.essence import essence
from explorer.scout.query import parse_query

BODY = "The `merge_tables` call drops rows when the key has nulls in both of the frames.\n" * 3


def kept(text: str) -> list[str]:
    return [line.strip() for line in essence(text).split("\n") if line.strip()]


def test_headings_of_a_form_comments_and_boxes_say_nothing() -> None:
    text = (
        f"merge loses rows\r\n<!-- Please search first,\r\nthen write. -->\r\n"
        f"**Describe the bug**\r\n{BODY}### What did you expect to happen?\r\nAll rows.\r\n"
        "- [x] I have read the guide\r\n### Merge keys with nulls\r\n"
    )
    expected = ["merge loses rows", *BODY.strip().split("\n"), "All rows."]
    assert kept(text) == [*expected, "### Merge keys with nulls"]


def test_a_printed_environment_counts_for_nothing_below_its_heading_or_without_one() -> None:
    versions = "pandas: 1.0.0\nnumpy: 1.18.1\nnetCDF4: None\nOS: Linux\nseaborn: 0.11.2\n"
    heading = f"merge loses rows\n{BODY}#### Output of `show_versions()`\n"
    below = f"{heading}<details>\n{versions}\n</details>\nIt worked before.\n"
    bare = f"merge loses rows\n{BODY}\n{versions}"

    assert kept(below)[-1] == "It worked before."
    assert kept(bare)[-1].startswith("The `merge_tables`")
    assert "seaborn" not in parse_query(bare).words


def test_a_trace_below_the_versions_is_kept() -> None:
    trace = "Traceback (most recent call last):"
    text = f"merge fails\n{BODY}## System information\nUbuntu 20.04\n{trace}\n"
    assert kept(text)[-1] == trace


def test_of_a_long_dump_the_first_lines_are_left() -> None:
    dump = "".join(f'  {{"path": "a{n}.py", "line": {n}}},\n' for n in range(40))
    text = f"merge fails\n{BODY}```json\n[\n{dump}]\n```\nIt worked before.\n"

    assert len(kept(text)) < 14
    assert kept(text)[-1] == "It worked before."


def test_an_address_of_the_web_is_no_path_and_has_no_words() -> None:
    query = parse_query("see https://example.org/shop/blob/main/tests/test_cart.py about totals")
    assert query.paths == ()
    assert set(query.words) == {"totals"}


def test_code_and_prose_are_left_as_they_are() -> None:
    code = "```python\nconfig = {\n    'a': 1,\n}\nversion = '1.2'\n```\n"
    text = f"merge loses rows\n{BODY}{code}"
    assert essence(text) == text
    assert essence("Environment: where is it read?") == "Environment: where is it read?"
