"""Questions about what is no definition: a message, a route, a key, a variable, a constant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

FILES = {
    "README.md": "# Shop\n\nIf you see `cart is empty, add a product first`, add one.\n"
    "Set MAX_CONNECTIONS and `server.port`. Routes: `/api/orders/{id}`.\n",
    "shop/cart.py": """class Cart:
    def checkout(self):
        if not self.lines:
            raise CartError(
                "cart is empty, add a product first"
            )
        return self.pay()

    def pay(self):
        limit = 3
        if self.total > limit:
            raise ValueError(f"cannot charge {self.total} to card {self.card}: over the limit")
""",
    "shop/cart_texts.py": '''HELP = """
Why is the cart empty, and how is a product added first? See checkout.
"""


def explain_cart(cart):
    return HELP
''',
    "tests/test_cart.py": """def test_an_empty_cart():
    with raises(CartError, match="cart is empty, add a product first"):
        Cart().checkout()
    get("/api/orders/17")
""",
    "shop/views.py": """router = Router(prefix="/api")


@router.get("/orders/{order_id}")
def show_order(order_id):
    return Order.find(order_id)


@router.delete("/orders/{order_id}")
def remove_order(order_id):
    return Order.remove(order_id)


@router.get("/orders")
def list_orders():
    return Order.all()
""",
    "shop/client.py": '''def fetch_order(session, order):
    """Ask /orders for an order."""
    return session.get("/orders/" + order.id)
''',
    "web/app/api/carts/[id]/route.ts": "export async function GET() {\n  return cart();\n}\n",
    "web/app/carts.ts": "export const carts = (id: string) => fetch(`/api/carts/${id}`);\n",
    "config/application.yml": "client:\n  port: 1\nserver:\n  host: a\n  port: 8080\n",
    "config/pool.toml": "[pool]\nsize = 4\nidle_timeout = 30\n",
    "config/app.properties": "spring.datasource.url=jdbc:x\nspring.datasource.user=me\n",
    "shop/settings.py": '''import os

DEFAULT_RETRIES = 5
LIMIT = int(os.environ["MAX_CONNECTIONS"])


def port_of(server):
    """The server's port, see server.port."""
    return server.port
''',
    "pool/config.go": """package pool

var example = map[string]any{
	"wait_interval": "15s",
}

type Config struct {
	Wait Duration `yaml:"wait_interval,omitempty"`
}
""",
    "shop/pool.py": '''class Pool:
    def connections(self):
        """Never more than MAX_CONNECTIONS connections."""
        return self.max_connections
''',
    "shop/limits.py": """class LimitError(Exception):
    text = "the limit of the shop is reached"


def take_in(cart):
    if cart.is_full:
        raise LimitError(LimitError.text)
""",
    "shop/serve.py": """def serve(options):
    log.info("serving carts of the shop")
    idle = options["idle_timeout"]
    if options.grace_period:
        wait(options.grace_period)
""",
    "config/serve.toml": "[serve]\ngrace_period = 3\n",
    "depot/errors.go": """package depot

var (
	ErrTooHeavy = errors.New("parcel is too heavy")
)
""",
    "depot/scale.go": """package depot

import "errors"

func check(parcel Parcel) error {
	if errors.Is(parcel.err, ErrTooHeavy) {
		return nil
	}
	if parcel.Grams > limit {
		return ErrTooHeavy
	}
	return nil
}
""",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(write_tree(tmp_path / "root", FILES)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "path", "line"),
    [
        ('where is "cart is empty, add a product first" raised?', "shop/cart.py", 5),
        ("Why do I get the error 'Cart is empty, add a product first.'?", "shop/cart.py", 5),
        ("when do I get `cannot charge 7 to card 1: over the limit`", "shop/cart.py", 12),
        ('"cannot charge 99.50 to card 4111: over the limit"', "shop/cart.py", 12),
        ("shop.errors.CartError: cart is empty, add a product first", "shop/cart.py", 5),
        ("ERROR: ValueError: cannot charge 7 to card 1: over the limit", "shop/cart.py", 12),
        ("CartError: cart 7 is empty, add a product first", "shop/cart.py", 5),
        ("cart is empty, add a product first", "shop/cart.py", 5),
        ('cannot charge "7" to card "a/b.py:1": over the limit', "shop/cart.py", 12),
        ("the limit of the shop is reached", "shop/limits.py", 2),
        ("Serving carts of the shop", "shop/serve.py", 2),
        ("log.txt:7: CartError: cart 7 is empty, add a product first", "shop/cart.py", 5),
        ("which handler serves GET /api/orders/{id}?", "shop/views.py", 4),
        ("DELETE /api/orders/:id", "shop/views.py", 9),
        ("where is the route /api/orders handled", "shop/views.py", 14),
        ("where is GET /api/carts/:id", "web/app/api/carts/[id]/route.ts", 1),
        ("where is server.port set?", "config/application.yml", 5),
        ("pool.idle_timeout", "config/pool.toml", 3),
        ("what is the default of spring.datasource.url", "config/app.properties", 1),
        ("where is the environment variable MAX_CONNECTIONS read?", "shop/settings.py", 4),
        ("which code reads wait_interval?", "pool/config.go", 8),
        ("DEFAULT_RETRIES", "shop/settings.py", 3),
    ],
)
async def test_the_place_of_a_text_that_is_no_definition_comes_first(
    workspace: Workspace, query: str, path: str, line: int
) -> None:
    found = (await Scout(workspace).answer(query)).citations[0]
    assert found.path == path
    assert found.start <= line <= found.end


@pytest.mark.parametrize(
    "query",
    [
        "where is logging configured?",
        "IndexError: the list of all that was ever sold is out of a product first",
        "how does the `shop cart` talk to `/tmp/x.sock`",
    ],
)
async def test_words_in_quotes_and_paths_of_files_are_no_such_texts(
    workspace: Workspace, query: str
) -> None:
    assert (await Scout(workspace).answer(query)).confidence != "high"


async def test_a_part_of_a_message_is_not_found_with_high_confidence(workspace: Workspace) -> None:
    found = await Scout(workspace).answer("CartError: cart is empty, add a product and pay")
    assert found.citations[0].path == "shop/cart.py"
    assert "high" not in (found.confidence, found.place_confidence)


async def test_behind_a_message_in_a_constant_come_the_lines_that_raise_it(
    workspace: Workspace,
) -> None:
    asked = "LimitError: the limit of the shop is reached"
    found = (await Scout(workspace).answer(asked)).citations
    assert [each.name for each in found[:2]] == ["LimitError.text", "take_in"]


async def test_behind_a_message_in_a_constant_come_the_lines_that_return_it(
    workspace: Workspace,
) -> None:
    found = (await Scout(workspace).answer("parcel is too heavy")).citations
    assert [each.name for each in found[:2]] == ["ErrTooHeavy", "check"]
    assert [(each.start, each.end) for each in found[1].focus] == [(10, 10)]


async def test_behind_a_text_of_a_switch_come_the_lines_that_give_its_constant(
    tmp_path: Path,
) -> None:
    files = {
        "depot/codes.h": "enum Code {\n  OK,\n  E_HEAVY, /* too heavy */\n};\n",
        "depot/text.c": "const char *text(enum Code code) {\n  switch (code) {\n  case E_HEAVY:\n"
        '    return "parcel is too heavy";\n  }\n  return "fine";\n}\n',
        "depot/scale.c": "enum Code weigh(int grams) {\n  if (grams > LIMIT)\n    return E_HEAVY;\n"
        "  return OK;\n}\n",
    }
    with Workspace.open(write_tree(tmp_path / "root", files)) as opened:
        found = (await Scout(opened).answer("parcel is too heavy")).citations
    assert [each.name for each in found[:2]] == ["text", "weigh"]
    assert [each.path for each in found] == ["depot/text.c", "depot/scale.c"]


async def test_a_name_on_many_lines_is_no_constant_that_keeps_a_message(tmp_path: Path) -> None:
    checks = "\n".join(f"    CHECK_PARCEL({n}, parcel)," for n in range(70))
    files = {
        "depot/checks.h": f"void check() {{\n  all(\n{checks}\n  );\n}}\n",
        "depot/scale.h": 'int scale() {\n all(\n    CHECK_PARCEL(1, "parcel is heavy"),\n  );\n}\n',
    }
    with Workspace.open(write_tree(tmp_path / "root", files)) as opened:
        found = (await Scout(opened).answer('"parcel is heavy"')).citations
    assert [each.path for each in found] == ["depot/scale.h"]


async def test_behind_a_key_come_the_lines_that_read_it(workspace: Workspace) -> None:
    for key, file in (("grace_period", "serve"), ("pool.idle_timeout", "pool")):
        found = (await Scout(workspace).answer(key)).citations
        assert [each.path for each in found[:2]] == [f"config/{file}.toml", "shop/serve.py"]
