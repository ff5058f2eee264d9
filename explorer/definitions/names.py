"""The names in a file's code, and what each of them is there: a call, a reference or a binding.

Words in comments and texts are no names. Read off the tree by the types and fields of nodes that
grammars have in common, so that a language needs no query of its own.
"""

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from explorer.definitions.formats import COMPONENTS, blocks, suffix_of
from explorer.definitions.grammars import PARSE_S, root_of
from explorer.definitions.outline import MAX_BYTES, language_in

if TYPE_CHECKING:
    import tree_sitter

Role = Literal["call", "reference", "binding"]

_MOST: Final = 2_000
"""How many words of a range are looked at: a longer one is a class."""
_MOST_OF_ONE: Final = 4
"""How often one name is looked at where all are wanted."""
_WORD: Final = re.compile(rb"[A-Za-z_$][\w$]*[?!]?(?<!\$)")
_DOT: Final = re.compile(rb"(?<!\.)(?:[?&]|!!)?\.$|::$|\??->$")
_DOT_LUA: Final = re.compile(rb"(?<!\.)[.:]$")
_DOT_PHP: Final = re.compile(rb"::$|\??->$")
_BEFORE_BYTES: Final = 120
_CHAIN_BYTES: Final = 400
"""How much of what stands before a dot is kept."""
_FIELDS: Final = 64
"""A node with more children is a list, whose children have no fields."""
_CHAIN: Final = re.compile(rb"[\w.:]+$")
_LEVELS: Final = 100
"""How far above a name its function stands at most."""
_ABOVE: Final = 6
"""How far above a name what says its role stands; lists of imports are nested deepest."""

_IS_NAME: Final = re.compile(r"identifier|^constant$|^name$|^alias$|^word$")
_ACCESS: Final = re.compile(
    r"member|selector|attribute|field_expression|field_access|scoped|qualified|navigation|nested"
    r"|scope_resolution|index_expression|conditional_access|method_reference|user_type|^dot$"
    r"|class_constant_access"
)
_GENERIC: Final = re.compile(r"generic|template_(?:function|method|type)|instantiation")
_CALL: Final = re.compile(
    r"(?:call|invocation)(?:_expression)?$|creation_expression|^new_expression|composite_literal"
    r"|struct_expression|instance_expression|decorator|^(?:marker_)?annotation$|command_name|jsx_\w*element"
    r"|_call$|^attribute$"
)
_NOT_CALLED: Final = frozenset("object receiver arguments argument value scope operand".split())
_IMPORT: Final = re.compile(
    r"import|^use_|using_d|namespace_use|^package_(?:clause|header|declaration)$|preproc_include"
    r"|export_(?:clause|specifier)"
)
_EXPORTS: Final = re.compile(rb"(?:module\.)?exports\b")
_REQUIRE: Final = re.compile(rb"(?:await\s+)?(?:require|import)\s*\(")
_PATTERN: Final = re.compile(
    r"pattern|declarator$|_target$|assignment_list$|^(?:expression|variable)_list$|^tuple$|^list$"
    r"|^(?:multi_)?variable_declaration$"
)
_VALUES: Final = frozenset(
    "type right default default_value condition returns return_type size arguments value".split()
)
_ASSIGNS: Final = re.compile(r"assign|for|range|short_var|receive|clause")
_DECLARES: Final = re.compile(
    r"declarat|definition|_item$|_spec(?:ifier)?$|^(?:singleton_)?method$|^class$|^module$"
    r"|signature|enhanced_for|resource|(?:property|const)_element|_elem$|parameter|enum|variant"
    r"|named_expression|function_expression|generator_function|preproc_(?:function_)?def$|^pattern$"
)
_LABELS: Final = frozenset({("keyword_argument", "name"), ("argument", "name")})
_NO_USES: Final = frozenset(
    "field_designator export_statement name_colon value_argument_label global_statement"
    " nonlocal_statement destructor_name".split()
)
_MEMBERS: Final = frozenset(
    "method_definition method_signature abstract_method_signature property_signature"
    " public_field_definition".split()
)
"""What has a name in JavaScript only with its object before it."""
_FUNCTION: Final = re.compile(
    r"(?:function|method|lambda|closure|arrow|constructor)(?:_(?:declaration|definition|item"
    r"|expression|literal|statement))?$|^(?:singleton_method|func_literal|anonymous_\w+)$"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name at one place of a file."""

    text: str
    line: int
    role: Role
    before: str | None
    """What stands before its dot; None for no dot."""
    scope: tuple[int, int]
    """Of a binding, the lines of the function that it holds in; (0, 0) for the whole file."""


def names_in(
    path: str, lines: Sequence[str], first: int, last: int, wanted: str = ""
) -> "list[Name] | None":
    """The names in the lines from ``first`` to ``last``; None if the file cannot be parsed.

    ``wanted`` is the only one that is looked for. What is imported, and keys and labels such as
    ``name`` in ``call(name=1)``, are left out. Ends after ``PARSE_S``, as parsing does.
    """
    language, text = _code(path, lines)
    root = root_of(language, text) if language and len(text) <= MAX_BYTES else None
    if root is None:
        return None
    start = sum(len(line.encode("utf-8", "replace")) + 1 for line in lines[: first - 1])
    size = sum(len(line.encode("utf-8", "replace")) + 1 for line in lines[first - 1 : last])
    if wanted:
        escaped = re.escape(wanted.encode())
        word = re.compile(rb"(?<![\w$])" + escaped + rb"(?![\w$])")
    else:
        word = _WORD
    found: list[Name] = []
    seen: Counter[bytes] = Counter()
    until = time.monotonic() + PARSE_S
    for count, match in enumerate(word.finditer(text, start, start + size)):
        # In a tree of thousands of levels each step up takes as many.
        if count == _MOST or time.monotonic() > until:
            break
        at, end = match.span()
        seen[match[0]] += 1
        if seen[match[0]] > _MOST_OF_ONE and not wanted:
            continue
        if language != "ruby" and text[end - 1 : end] in (b"?", b"!"):
            end -= 1
        node = root.descendant_for_byte_range(at, end)
        # ``#name`` is one node, in JavaScript.
        if node is None or node.end_byte != end or node.start_byte < at - 1:
            continue
        if _IS_NAME.search(node.type) and (name := _name(node, text, language)) is not None:
            found.append(name)
    return found


def _code(path: str, lines: Sequence[str]) -> tuple[str, bytes]:
    """The language and the code of a file; of a component its scripts, on their own lines."""
    if suffix_of(path) in COMPONENTS:
        code = [""] * len(lines)
        for tag, _, start, end in blocks(lines):
            if tag == "script":
                code[start : end - 1] = lines[start : end - 1]
        return "typescript", "\n".join(code).encode("utf-8", "replace")
    text = "\n".join(lines).encode("utf-8", "replace")
    return language_in(path, text), text


def _name(node: "tree_sitter.Node", text: bytes, language: str) -> Name | None:
    parent = node.parent
    if parent is None or parent.type == "variable_name" or node.type == "namespace_identifier":
        return None
    name = node.text.decode("utf-8", "replace") if node.text else ""
    line = node.start_point.row + 1
    bound = _bound(node, name)
    if bound is node or _is_imported(node, text):
        return None
    if bound is not None:
        return Name(name, line, "binding", None, _scope(bound))
    before = _before(node, text, language)
    is_call = _is_called(node, text) or (
        language == "ruby" and node.type == "identifier" and before is None
    )
    return Name(name, line, "call" if is_call else "reference", before, _scope(node))


def _is_imported(node: "tree_sitter.Node", text: bytes) -> bool:
    above = node.parent
    for _ in range(_ABOVE):
        if above is None or above.parent is None:
            return False
        if _IMPORT.search(above.type):
            return True
        if above.type == "variable_declarator":
            # ``const { name } = require("./module")``
            value = above.child_by_field_name("value")
            return value is not None and _REQUIRE.match(text, value.start_byte) is not None
        above = above.parent
    return False


def _bound(node: "tree_sitter.Node", name: str) -> "tree_sitter.Node | None":
    """What binds the name there; the node itself if it is a label or a field; None for a use."""
    child, parent = node, node.parent
    is_member = False
    for _ in range(_ABOVE):
        if parent is None:
            return None
        type_, field = parent.type, _field(parent, child)
        if field in ("key", "label") or (type_, field) in _LABELS or _is_label(parent, child):
            return node
        if type_.endswith("_specifier") and parent.child_by_field_name("body") is None:
            # ``struct name *one`` refers to it.
            return None
        if _ACCESS.search(type_):
            if child.end_byte != parent.end_byte or child.start_byte == parent.start_byte:
                return None
            is_member = True
        elif field == "right" and _EXPORTS.match(parent.text or b""):
            return node
        elif field == "alias" or (
            field in ("left", "pattern", "parameter") and _ASSIGNS.search(type_)
        ):
            return node if is_member else parent
        elif field == "pattern" or _takes(type_, field):
            return parent
        elif field == "name" and type_ in _MEMBERS:
            return node
        elif field in ("name", "declarator", "bound_identifier") and _DECLARES.search(type_):
            return parent.parent if _FUNCTION.search(type_) and parent.parent else parent
        elif type_ == "variable_declaration" and field is None and child.type == "identifier":
            return parent
        elif _PATTERN.search(type_) and (
            field not in _VALUES or (field == "value" and "pattern" in type_)
        ):
            if "pattern" in type_ and name[:1].isupper():
                # It is what is matched, such as a constant.
                return None
            if node.type == "shorthand_property_identifier_pattern":
                return parent
        else:
            return None
        child, parent = parent, parent.parent
    return None


def _takes(type_: str, field: str | None) -> bool:
    """Whether what stands in that field is a parameter's name."""
    if field in ("parameter", "parameters"):
        return True
    return "parameter" in type_ and field in (None, "name", "declarator")


def _is_label(parent: "tree_sitter.Node", child: "tree_sitter.Node") -> bool:
    if parent.type == "value_argument":
        # ``run(name = 3)``, in Kotlin.
        return parent.named_child_count > 1 and parent.named_child(0) == child
    if parent.type == "literal_element":
        return parent.parent is not None and _field(parent.parent, parent) == "key"
    if parent.type in _NO_USES:
        return True
    return parent.type in ("field_initializer", "field_pattern") and (
        _field(parent, child) in ("field", "name")
    )


def _field(parent: "tree_sitter.Node", child: "tree_sitter.Node") -> str | None:
    if parent.child_count > _FIELDS:
        return None
    for number, each in enumerate(parent.children):
        if each == child:
            return parent.field_name_for_child(number)
    return None


def _before(node: "tree_sitter.Node", text: bytes, language: str) -> str | None:
    """What stands before the dot before a name; empty if that is nothing."""
    lead = text[max(0, node.start_byte - _BEFORE_BYTES) : node.start_byte].rstrip()
    dots = {"lua": _DOT_LUA, "php": _DOT_PHP}.get(language, _DOT)
    dot = dots.search(lead)
    if dot is None:
        return None
    above = node.parent
    while above is not None and above.start_byte >= node.start_byte:
        above = above.parent
    found = b""
    while above is not None and not found:
        said = text[above.start_byte : node.start_byte].rstrip()
        found = said[: len(said) - len(dot[0])].rstrip()
        if above.type == "token_tree":
            # The arguments of a macro in Rust are not parsed.
            chain = _CHAIN.search(found)
            found = chain[0] if chain else b"?"
        elif not _ACCESS.search(above.type) and not _CALL.search(above.type):
            found = b""
            break
        above = above.parent
    return found[-_CHAIN_BYTES:].decode("utf-8", "replace")


def _is_called(node: "tree_sitter.Node", text: bytes) -> bool:
    child, parent = node, node.parent
    while parent is not None and (
        (_ACCESS.search(parent.type) and child.end_byte == parent.end_byte)
        or (_GENERIC.search(parent.type) and child.start_byte == parent.start_byte)
        or (_GENERIC.search(parent.type) and _field(parent, child) == "name")
    ):
        if _CALL.search(parent.type) and parent.type != "attribute":
            break
        child, parent = parent, parent.parent
    if parent is None:
        return False
    if parent.type == "token_tree":
        return text[node.end_byte : node.end_byte + 1] == b"("
    return bool(_CALL.search(parent.type)) and _field(parent, child) not in _NOT_CALLED


def _scope(node: "tree_sitter.Node") -> tuple[int, int]:
    """The lines of the innermost function that the node is, or is in."""
    above: tree_sitter.Node | None = node
    for _ in range(_LEVELS):
        if above is None:
            break
        if _FUNCTION.search(above.type):
            return above.start_point.row + 1, above.end_point.row + 1
        above = above.parent
    return 0, 0
