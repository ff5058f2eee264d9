"""Which names a question has, and which lines define them."""

import pytest

from explorer.scout.names import (
    COMPOSED,
    FOLDED,
    KEY,
    MODULE,
    PROPERTY,
    READ,
    TYPE,
    VALUE,
    Name,
    composed_line,
    defining_line,
    names_in,
)


@pytest.mark.parametrize(
    ("text", "scope", "last"),
    [
        ("Flask", (), "Flask"),
        ("g", (), "g"),
        ("clone()", (), "clone"),
        ("Class.method", ("Class",), "method"),
        ("pkg.module.func", ("pkg", "module"), "func"),
        ("Sinatra::Base", ("Sinatra",), "Base"),
        ("where is parse_query defined?", (), "parse_query"),
        ("What is `Router`?", (), "Router"),
        ("the Request class", (), "Request"),
        ("how does $factory work?", (), "factory"),
        ("#items", (), "items"),
    ],
)
def test_a_question_may_be_nothing_but_a_name(text: str, scope: tuple[str, ...], last: str) -> None:
    assert names_in(text) == (Name(last, scope, alone=True),)


def test_a_mark_behind_a_name_may_belong_to_it() -> None:
    for text in ("where is save! defined?", "save!", "how does save!() work"):
        assert names_in(text) == (Name("save", (), alone=True, mark="!"),)
    assert names_in("where is empty? defined?") == (Name("empty", (), alone=True, mark="?"),)
    assert names_in("save?") == names_in("save()") == (Name("save", (), alone=True),)


def test_names_in_a_sentence_are_those_written_as_code() -> None:
    found = names_in(
        "How does parse_query call Trace.frames and `fold`, but not words or example.com?"
    )
    assert [each.last for each in found] == ["parse_query", "frames", "fold"]
    assert not any(each.alone for each in found)
    assert names_in("how are connections pooled") == ()


@pytest.mark.parametrize(
    ("source", "name", "plainness", "line"),
    [
        ("from a import Router\n\nclass Router(Base):\n    pass\n", "Router", TYPE, 3),
        ("type RouterGroup struct {\n", "RouterGroup", TYPE, 1),
        ("func (c *Context) JSON(code int) {\n", "JSON", TYPE, 1),
        ("export async function load(x) {\n", "load", TYPE, 1),
        ("pub(crate) fn poll<T>(self) {}\n", "poll", TYPE, 1),
        ("defmodule Plug.Session do\n", "Session", TYPE, 1),
        ("function M.setup(opts)\n", "setup", TYPE, 1),
        (
            "int\nuv_tcp_init(uv_loop_t* loop,\n            uv_tcp_t* tcp) {\n",
            "uv_tcp_init",
            VALUE,
            2,
        ),
        ("app.render = function (name) {\n", "render", VALUE, 1),
        ("public Builder setLenient() {\n", "setLenient", VALUE, 1),
        ("typedef struct loop_s loop_t;\n", "loop_t", VALUE, 1),
        ("#define MAX_FRAMES 200\n", "MAX_FRAMES", VALUE, 1),
        ("MAX_FRAMES: Final = 200\n", "MAX_FRAMES", VALUE, 1),
        ("server:\n  max_bytes: 6000\n", "max_bytes", KEY, 2),
        ("class router:\n", "Router", FOLDED, 1),
        ("x = Router()\nreturn Router(x)\n", "Router", 0.0, 0),
        ("enum state next_state(void);\nstruct state *s;\nstruct state {\n", "state", TYPE, 3),
        ("class SHOP_EXPORT Cart {\n#define SHOP_EXPORT\n", "SHOP_EXPORT", VALUE, 2),
        ("limit = os.environ['APP_LIMIT']\n", "APP_LIMIT", READ, 1),
        ("# class Router\nimport Router\nif (Router == x) {\n", "Router", 0.0, 0),
        ("class RouterGroup:\n", "Router", 0.0, 0),
    ],
)
def test_a_definition_is_told_from_a_use(
    source: str, name: str, plainness: float, line: int
) -> None:
    assert defining_line(source.encode(), Name(name, ())) == (plainness, line)


def test_a_declaration_yields_to_the_definition() -> None:
    text = b"class Pool;\nstruct Pool {\n  int size;\n};\n"
    assert defining_line(text, Name("Pool", ())) == (TYPE, 2)
    assert MODULE < TYPE


@pytest.mark.parametrize(
    ("path", "text", "plainness", "line"),
    [
        ("defaults.py", "N = Names(\n    worker=Names(\n        pool_size=4,\n", COMPOSED, 3),
        ("worker.py", "pool_size = 4\n", COMPOSED - 0.5, 1),
        ("config.py", "prefix = 'WORKER_'\npool_size: int = 4\n", COMPOSED - 0.5, 2),
        ("pool.py", "# a worker\npool_size = 4\n", 0.0, 0),
        ("pool.py", "worker = Pool(\n)\npool_size = 4\n", 0.0, 0),
    ],
)
def test_a_name_may_be_put_together_from_what_encloses_it(
    path: str, text: str, plainness: float, line: int
) -> None:
    found = composed_line(path, text.encode(), Name("worker_pool_size", ()))
    assert found == (pytest.approx(plainness), line)


def test_a_property_in_a_string_is_one_and_what_is_read_from_the_environment_a_variable() -> None:
    text = b'private boolean noUnsafe;\nx = getBoolean("io.shop.noUnsafe", false);\n'
    assert defining_line(text, Name("noUnsafe", ("io", "shop"))) == (PROPERTY, 2)
    text = b"SHOP_HOME=x is a setting\nhome = self.get_env_os('SHOP_HOME')\n"
    assert defining_line(text, Name("SHOP_HOME", ())) == (READ, 2)
