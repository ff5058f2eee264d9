"""Ranges begin and end where definitions and blocks do."""

import pytest

from explorer.scout.ranges import Definitions, joined

PYTHON = """import os


@cached
@traced(level=2)
def load(
    path,
):
    text = read(path)

    return parse(text)


# How much is left.
def rest(total):
    return total - 1


class Cart:
    name = "cart"

    def add(self, item):
        self.items.append(item)

    def remove(self, item):
        self.items.remove(item)
"""
JAVA = """public class LogCleaner {
    private int count;

    @Override
    public void clean()
    {
        for (Segment each : segments) {
            each.compact();
        }
    }

    /** Ends it. */
    public void close() {
        open = false;
    }
}
"""
C = """int load(char *name)
{
    int fd = open(name);
#ifdef LINUX
    if (fd < 0)
        goto fail;
#endif
    return fd;
fail:
    return -1;
}

int next(void) {
    return 0;
}
"""
RUBY = """module Mailer
  def deliver(message)
    enqueue(message) do |job|
      job.run
    end
  rescue Full
    retry
  end

  def cancel
    nil
  end
end
"""


def outline(text, *heads):
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines, 1) if line.strip().startswith(heads)]
    return Definitions(lines, starts)


@pytest.mark.parametrize(
    ("text", "heads", "inside", "whole"),
    [
        (PYTHON, ("def", "class"), (9, 9), (4, 11)),
        (PYTHON, ("def", "class"), (15, 16), (15, 16)),
        (PYTHON, ("def", "class"), (23, 23), (22, 23)),
        (JAVA, ("public",), (8, 8), (4, 10)),
        (JAVA, ("public",), (14, 14), (13, 15)),
        (C, ("int load", "int next"), (5, 6), (1, 11)),
        (C, ("int load", "int next"), (14, 14), (13, 15)),
        (RUBY, ("module", "def"), (4, 4), (2, 8)),
    ],
)
def test_a_part_of_a_short_definition_becomes_the_whole_of_it(text, heads, inside, whole):
    assert outline(text, *heads).citable(*inside) == whole


def test_parts_of_two_methods_become_both():
    assert outline(PYTHON, "def", "class").citable(23, 25, whole=4) == (22, 26)


def test_a_range_does_not_end_in_the_comment_of_the_next_definition():
    assert outline(PYTHON, "def", "class").citable(9, 14, whole=3)[1] == 11


def test_a_comment_alone_may_be_cited():
    assert outline(PYTHON, "def", "class").citable(14, 14) == (14, 14)


def test_a_long_definition_is_cited_by_its_block():
    body = ["def long():", "    first()", ""]
    body += [
        "    for item in items:",
        "        one(item)",
        "        two(item)",
        "        three()",
        "",
    ]
    body += [f"    step_{number}()" for number in range(60)]
    found = Definitions(body, [1])

    assert found.citable(6, 6) == (4, 7)
    start, end = found.at(40)
    assert start <= 40 <= end
    assert end - start < 40


def test_one_line_of_a_short_definition_is_cited_as_that():
    assert outline(PYTHON, "def", "class").at(10) == (4, 11)


def test_ranges_never_leave_the_file():
    for text in (PYTHON, JAVA, C, RUBY, "", "\n\n", "x", "}\n}\n"):
        lines = text.splitlines()
        found = Definitions(lines, range(1, len(lines) + 1))
        for start in range(1, len(lines) + 1):
            for end in range(start, len(lines) + 1):
                low, high = found.citable(start, end)
                assert 1 <= low <= high <= len(lines)


def test_ranges_that_touch_become_one_with_the_better_score():
    assert joined([(8, 9, 0.1), (1, 3, 0.5), (4, 5, 0.9)]) == [(1, 5, 0.9), (8, 9, 0.1)]


def long_c():
    body = [f"  step_{number}();" for number in range(50)]
    one = ["int one(struct Pool *pool,", "        struct Cookie *cookie)", "{", *body, "}", ""]
    two = ["/* The other. */", "int two(void)", "{", *body, "}"]
    return [*one, *two]


def test_a_parameter_of_a_structs_type_is_no_definition():
    found = Definitions(long_c(), [1, 2, 57])

    assert found.around(2, 2) == found.around(1, 1) == found.around(30, 30)


def test_the_head_of_a_long_definition_is_not_cited_with_the_end_of_the_one_before():
    found = Definitions(long_c(), [1, 57])

    assert found.citable(40, 57)[1] == 54
    assert found.citable(53, 70)[0] == 56


def test_a_line_or_two_of_a_long_definition_get_lines_around_them():
    start, end = Definitions(long_c(), [1, 57]).citable(1, 2)

    assert start == 1
    assert end - start >= 5


def test_a_range_does_not_begin_with_a_closing_bracket_or_the_rest_of_a_statement():
    text = ["def long():"] + [f"    step({number})" for number in range(40)]
    text += ["", "    try:", "        one()", "    except Full:", "        two()", ""]
    text += ["    three(", "    )", "", "    four()", *["    more()"] * 20]
    found = Definitions(text, [1])

    assert found.citable(45, 46)[0] == 43
    assert found.citable(49, 52)[0] == 51


def test_a_range_does_not_end_in_a_comment_with_stars_above_the_next_method():
    assert outline(JAVA, "public").citable(8, 12, whole=8)[1] == 10


def test_a_range_does_not_begin_with_imports_unless_it_is_nothing_else():
    lines = ["import os", "from re import sub", "", "FACTOR = 0.5", "", "LIMIT = 3"]
    assert Definitions(lines, ()).citable(1, 4) == (4, 4)
    assert Definitions(lines, ()).citable(1, 2) == (1, 2)
