"""Which text is a message, and which lines of the code make it."""

import pytest

from explorer.scout.message import Message, messages_of, told
from explorer.scout.query import parse_query


def messages(text: str) -> tuple[Message, ...]:
    return messages_of(parse_query(text))


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("ValueError: cannot charge 7 to card", "cannot charge to card"),
        ("shop: error (at <stdin>:1): no such cart", "no such cart"),
        ("[ERR] no such cart", "no such cart"),
        ('where is "no such cart" raised?', "no such cart"),
        ("No such cart in the shop", "no such cart in the shop"),
        ('cannot open "a cart.txt" from "b cart.txt"', "cannot open from"),
        ('error: "the \\"a\\" cart is empty"', "the cart is empty"),
        ("the cart at /var/shop/1 and {:a=>1} is empty", "the cart at and is empty"),
    ],
)
def test_the_words_of_a_message_are_those_that_are_no_values(text: str, fixed: str) -> None:
    assert fixed in [each.fixed for each in messages(text)]


@pytest.mark.parametrize(
    "text",
    [
        "how are carts emptied",
        "where is the cart checked before it is paid?",
        "Cart.checkout",
        "no such cart\n\nSee above.",
    ],
)
def test_a_question_and_a_text_of_several_lines_are_no_messages(text: str) -> None:
    assert messages(text) == ()


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("IOError: cart 7 is empty: add", 'raise IOError("cart %d is empty: %s" % (n, what))'),
        ("IOError: cart 7 is empty", 'raise IOError(f"cart {self.cart.number:>3} is empty")'),
        ("IOError: cart 7 is empty", "raise IOError(f'cart {self.number!r} is empty')"),
        ("Error: cart a-b is empty", "throw new Error(`cart ${cart.name} is empty`)"),
        ("Error: cart a is empty", 'throw Exception("cart $name is empty")'),
        ("Error: cart a is empty", 'raise Error, "cart #{name} is empty"'),
        ("Error: cart a is empty", 'fatalError("cart \\(name) is empty")'),
        ("Error: cart a is empty", 'bail!("cart {:?} is empty", name)'),
        ("Error: cart a is empty", 'throw new Error("cart " + name + " is empty");'),
        ("Error: cart a is empty", 'throw new Error("cart " +\n    name + " is empty");'),
        ("Error: the cart is empty", 'raise Error(\n    "the cart "\n    "is empty"\n)'),
        ("Error: A BIG cart is empty", '#define EMPTY(N) "A " # N " cart is empty"'),
        (
            'cannot move "a" from "b". Does the cart exist?',
            'throw `cannot move "${a}" from "${name(\n  b,\n)}". Does the cart exist?`',
        ),
        ("cannot pay: the cart is empty", "  raise <<~EOM\n    cannot pay: the cart is empty"),
    ],
)
def test_a_message_is_found_with_its_values_and_over_several_lines(said: str, source: str) -> None:
    text = source.encode()
    found = told(text, range(1, text.count(b"\n") + 2), messages(said))
    assert found.is_whole


def level(said: str, source: str) -> float:
    text = source.encode()
    return told(text, range(1, text.count(b"\n") + 2), messages(said)).level


@pytest.mark.parametrize(
    ("said", "better", "worse"),
    [
        # All of it before the beginning of a longer one.
        ("E: Error: end of cart", 'raise Error("end of cart")', 'raise Error("end of cart on %s")'),
        # What raises it before what mentions it.
        ("Error: end of cart", 'raise Error("end of cart")', "# Says end of cart there"),
        # The exception's type counts.
        (
            "CartError: end of cart",
            'raise CartError("end of cart")',
            'raise IOError("end of cart")',
        ),
        # A number in the code that is not in the message speaks against it.
        (
            "Error: 7 carts are full",
            'raise Error("%d carts are full")',
            'Error("8 carts are full")',
        ),
    ],
)
def test_what_a_line_and_a_message_do_not_share_speaks_against_it(
    said: str, better: str, worse: str
) -> None:
    assert level(said, better) > level(said, worse)


def test_words_in_another_order_or_a_few_of_many_are_no_message() -> None:
    assert not level("Error: the cart is empty", 'raise Error("is the shop full of carts")')
    assert not level("the cart of the shop is empty today", 'log("the shop is empty")')


def test_lines_that_say_the_same_are_all_found_and_the_first_comes_first() -> None:
    text = b'raise Error("end of cart")\n\n\n\nraise Error("end of cart")\n'
    assert told(text, [1, 5], messages("Error: end of cart")).lines == (1, 5)
    assert told(text, [1, 5, 99], messages("Error: no carts left")).level == 0


def test_a_text_that_does_not_sound_like_a_message_may_be_one_where_its_words_are() -> None:
    (each,) = messages("Serving carts of the shop")
    assert not each.is_marked
    assert not each.sounds
    assert each.is_likely_in(b'log("serving carts of the shop")')
    assert not each.is_likely_in(b"the shop, of which the carts are serving")


@pytest.mark.parametrize(
    ("source", "constant"),
    [
        ('var ErrTooHeavy = errors.New("parcel is too heavy")', "ErrTooHeavy"),
        ('    public static final String TOO_HEAVY = "parcel is too heavy";', "TOO_HEAVY"),
        ('    public const string TooHeavy = "parcel is too heavy";', "TooHeavy"),
        ('const kTooHeavy: &str = "parcel is too heavy";', "kTooHeavy"),
        ('#define TOO_HEAVY "parcel is too heavy"', "TOO_HEAVY"),
        ('    [E_HEAVY] = "parcel is too heavy",', "E_HEAVY"),
        ('  "TOO_HEAVY": "parcel is too heavy",', "TOO_HEAVY"),
        ('TOO_HEAVY = (\n    "parcel is too heavy"\n)', "TOO_HEAVY"),
        ('#[error("parcel is too heavy")]\nTooHeavy,', "TooHeavy"),
        ('    TOO_HEAVY(17, "parcel is too heavy", HeavyException::new),', "TOO_HEAVY"),
        ('    case E_HEAVY:\n      return "parcel is too heavy";', "E_HEAVY"),
        ('\tcase depot.TooHeavy: return "parcel is too heavy"', "TooHeavy"),
        ('case .tooHeavy: return "parcel is too heavy"', "tooHeavy"),
        ('Self::TooHeavy { grams } => write!(f, "parcel is too heavy"),', "TooHeavy"),
        ('Code.TooHeavy -> "parcel is too heavy"', "TooHeavy"),
        ('    case E_HEAVY:\n      throw new Heavy("parcel is too heavy");', ""),
        ('parcels.map(each -> fail("parcel is too heavy"))', ""),
        ('    LOG_ERROR("parcel is too heavy");', ""),
        ('message = "parcel is too heavy"', ""),
        ('if ERROR_LEVEL == 3: fail("parcel is too heavy")', ""),
        ('raise TooHeavy("parcel is too heavy")', ""),
        ('log.Error("parcel is too heavy")', ""),
    ],
)
def test_the_constant_that_keeps_a_message_is_known(source: str, constant: str) -> None:
    lines = range(1, source.count("\n") + 2)
    found = told(source.encode(), lines, messages('"parcel is too heavy"'))
    assert found.lines
    assert found.constant == constant
