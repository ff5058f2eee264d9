"""Which lines read a setting."""

import pytest

from explorer.scout.names import Name
from explorer.scout.reads import reading_lines, spellings


def test_a_setting_is_spelled_in_code_as_its_language_does() -> None:
    assert spellings("passHostHeader") == (
        *(b"passHostHeader", b"pass_host_header", b"PassHostHeader", b"pass-host-header"),
    )
    assert spellings("SHOP_HOME") == (b"SHOP_HOME",)


@pytest.mark.parametrize(
    "line",
    [
        "limit = options['pool_size']",
        "@size = @options[:pool_size]",
        'get("pool_size", 4)',
        "start(self.config.pool_size)",
        "n := cfg.PoolSize",
        "if (poolSize) {",
        "  return !pool->pool_size;",
        "$config->get('pool-size')",
        'size = either(\n    "pool_size",\n)',
    ],
)
def test_lines_that_read_a_setting_are_known(line: str) -> None:
    found = reading_lines(line.encode(), Name("pool_size", ()), in_strings=False)
    assert [at for _, at in found] == [2 if "\n" in line else 1]


@pytest.mark.parametrize(
    "line",
    [
        "pool_size = 4",
        "self.pool_size = 4",
        "pool_size: int",
        "config['pool_size'] = 4",
        "{'pool_size': 4}",
        "# see options['pool_size']",
        "def pool_size(self):",
        "resize(my_pool_size)",
    ],
)
def test_lines_that_set_or_define_a_setting_do_not_read_it(line: str) -> None:
    assert not reading_lines(line.encode(), Name("pool_size", ()), in_strings=False)


def test_a_line_that_decides_by_a_setting_comes_before_one_that_hands_it_on() -> None:
    text = b"new Pool(config.size)\nif (config.size > 4) {\n  x.config = { size: config.size }\n"
    found = reading_lines(text, Name("size", ("config",)), in_strings=False)
    assert [line for _, line in found][:2] == [2, 1]
    assert not reading_lines(text, Name("size", ("config",)), in_strings=True)
