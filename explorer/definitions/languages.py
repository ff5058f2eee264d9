"""What counts as a definition in each language that has a grammar, as tree-sitter queries.

A query captures the whole of a definition as its kind (``@function``, ``@class``, ``@type``,
``@value``, ``@field``, ``@call``) and what it is called as ``@name``; ``@scope`` is a name that
stands before its own, such as the type of a Go receiver. The first query that fits a node counts.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Language:
    """A language with a grammar."""

    module: str
    """The module that holds the grammar."""
    query: str
    function: str = "language"
    """The function of the module that returns the grammar."""
    wrappers: frozenset[str] = frozenset()
    """Nodes that belong to the definition inside them: decorators, exports, templates."""


_PYTHON: Final = """
(function_definition name: (_) @name) @function
(class_definition name: (_) @name) @class
(module (expression_statement (assignment left: (_) @name)) @value)
(module (if_statement (block (expression_statement (assignment left: (_) @name)) @value)))
(module (type_alias_statement left: (_) @name) @type)
(class_definition body: (block (expression_statement (assignment left: (_) @name)) @field))
"""

_JAVASCRIPT: Final = """
(function_declaration name: (_) @name) @function
(generator_function_declaration name: (_) @name) @function
(class_declaration name: (_) @name) @class
(method_definition name: (_) @name) @function
(lexical_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)])) @function
(variable_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)])) @function
(lexical_declaration (variable_declarator name: (identifier) @name value: (class))) @class
(program (lexical_declaration (variable_declarator name: (_) @name)) @value)
(program (variable_declaration (variable_declarator name: (_) @name)) @value)
(export_statement (lexical_declaration (variable_declarator name: (_) @name)) @value)
(program (export_statement "default" @name value: (_)) @value)
(pair key: (_) @name value: [(arrow_function) (function_expression)]) @function
(assignment_expression left: (_) @name
  right: [(arrow_function) (function_expression) (class)]) @function
(program (expression_statement (assignment_expression left: (member_expression) @name)) @value)
(expression_statement (call_expression function: [(identifier) (member_expression)] @scope
  arguments: (arguments . [(string) (template_string)] @name
    [(arrow_function) (function_expression)]))) @call
"""

_FIELD_JS: Final = """
(field_definition property: (_) @name value: [(arrow_function) (function_expression)]) @function
(field_definition property: (_) @name) @field
"""

_TYPESCRIPT: Final = (
    _JAVASCRIPT
    + """
(abstract_class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(internal_module name: (_) @name) @class
(module name: (_) @name) @class
(type_alias_declaration name: (_) @name) @type
(function_signature name: (_) @name) @function
(abstract_method_signature name: (_) @name) @function
(public_field_definition name: (_) @name
  value: [(arrow_function) (function_expression)]) @function
(public_field_definition name: (_) @name) @field
(ambient_declaration (lexical_declaration (variable_declarator name: (_) @name)) @value)
"""
)

_GO: Final = """
(function_declaration name: (_) @name) @function
(method_declaration receiver: (parameter_list (parameter_declaration type: (_) @scope))
  name: (_) @name) @function
(type_declaration . (type_spec name: (_) @name type: [(struct_type) (interface_type)]) .) @class
(type_declaration . (_ name: (_) @name) .) @type
(type_declaration (type_spec name: (_) @name type: [(struct_type) (interface_type)]) @class)
(type_declaration (_ name: (_) @name) @type)
(source_file (const_declaration . (const_spec name: (_) @name) .) @value)
(source_file (const_declaration (const_spec name: (_) @name) @value))
(source_file (var_declaration . (var_spec name: (_) @name) .) @value)
(source_file (var_declaration (var_spec name: (_) @name) @value))
(source_file (var_declaration (var_spec_list (var_spec name: (_) @name) @value)))
"""

_RUST: Final = """
(function_item name: (_) @name) @function
(function_signature_item name: (_) @name) @function
(struct_item name: (_) @name) @class
(enum_item name: (_) @name) @class
(union_item name: (_) @name) @class
(trait_item name: (_) @name) @class
(impl_item type: (_) @name) @class
(mod_item name: (_) @name body: (_)) @class
(type_item name: (_) @name) @type
(const_item name: (_) @name) @value
(static_item name: (_) @name) @value
(macro_definition name: (_) @name) @function
"""

_JAVA: Final = """
(method_declaration name: (_) @name) @function
(constructor_declaration name: (_) @name) @function
(compact_constructor_declaration name: (_) @name) @function
(class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(record_declaration name: (_) @name) @class
(annotation_type_declaration name: (_) @name) @class
(field_declaration declarator: (variable_declarator name: (_) @name)) @field
(constant_declaration declarator: (variable_declarator name: (_) @name)) @field
"""

_KOTLIN: Final = """
(function_declaration name: (_) @name) @function
(class_declaration name: (_) @name) @class
(object_declaration name: (_) @name) @class
(companion_object) @class
(secondary_constructor "constructor" @name) @function
(type_alias type: (_) @name) @type
(source_file (property_declaration (variable_declaration . (identifier) @name)) @value)
(class_body (property_declaration (variable_declaration . (identifier) @name)) @field)
"""

_C: Final = """
(function_definition declarator: (function_declarator declarator: (_) @name)) @function
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: (_) @name))) @function
(function_definition declarator: (pointer_declarator (pointer_declarator
  declarator: (function_declarator declarator: (_) @name)))) @function
(type_definition type: [(struct_specifier) (union_specifier) (enum_specifier)]
  declarator: (_) @name) @class
(struct_specifier name: (_) @name body: (_)) @class
(union_specifier name: (_) @name body: (_)) @class
(enum_specifier name: (_) @name body: (_)) @class
(type_definition declarator: (_) @name) @type
(preproc_function_def name: (_) @name) @function
(preproc_def name: (_) @name value: (_)) @value
(translation_unit (declaration declarator: (init_declarator declarator: (_) @name)) @value)
"""

_CPP: Final = (
    _C
    + """
(function_definition declarator: (reference_declarator
  (function_declarator declarator: (_) @name))) @function
(class_specifier name: (_) @name body: (_)) @class
(namespace_definition name: (_) @name) @class
(concept_definition name: (_) @name) @type
(alias_declaration name: (_) @name) @type
(namespace_definition body: (declaration_list
  (declaration declarator: (init_declarator declarator: (_) @name)) @value))
"""
)

_C_SHARP: Final = """
(method_declaration name: (_) @name) @function
(constructor_declaration name: (_) @name) @function
(local_function_statement name: (_) @name) @function
(operator_declaration operator: _ @name) @function
(property_declaration name: (_) @name) @field
(event_declaration name: (_) @name) @field
(indexer_declaration "this" @name) @function
(field_declaration (variable_declaration (variable_declarator name: (_) @name))) @field
(class_declaration name: (_) @name) @class
(struct_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(record_declaration name: (_) @name) @class
(namespace_declaration name: (_) @name) @class
(delegate_declaration name: (_) @name) @type
"""

_RUBY: Final = """
(method name: (_) @name) @function
(singleton_method name: (_) @name) @function
(class name: (_) @name) @class
(module name: (_) @name) @class
(program (assignment left: (_) @name) @value)
(class (body_statement (assignment left: (constant) @name) @field))
(module (body_statement (assignment left: (constant) @name) @field))
(call method: (identifier) @scope arguments: (argument_list . [(string) (simple_symbol)] @name)
  block: [(do_block) (block)]) @call
"""

_PHP: Final = """
(function_definition name: (_) @name) @function
(method_declaration name: (_) @name) @function
(class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(trait_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(property_declaration (property_element name: (_) @name)) @field
(const_declaration (const_element (name) @name)) @field
(program (expression_statement (assignment_expression left: (_) @name)) @value)
"""

# The name of a function may be an operator, which is no named node. To ask for named ones alone
# would also take this grammar 0.3 s, each time that the query is compiled.
_SWIFT: Final = """
(function_declaration name: _ @name) @function
(init_declaration "init" @name) @function
(deinit_declaration "deinit" @name) @function
(subscript_declaration "subscript" @name) @function
(class_declaration name: (_) @name) @class
(protocol_declaration name: (_) @name) @class
(protocol_function_declaration name: (simple_identifier) @name) @function
(typealias_declaration name: (_) @name) @type
(source_file (property_declaration name: (_) @name) @value)
(class_body (property_declaration name: (_) @name) @field)
"""

_SCALA: Final = """
(function_definition name: (_) @name) @function
(function_declaration name: (_) @name) @function
(class_definition name: (_) @name) @class
(object_definition name: (_) @name) @class
(trait_definition name: (_) @name) @class
(enum_definition name: (_) @name) @class
(type_definition name: (_) @name) @type
(compilation_unit (val_definition pattern: (_) @name) @value)
(template_body (val_definition pattern: (_) @name) @field)
(given_definition name: (_) @name) @value
"""

_ELIXIR: Final = """
(call target: (identifier) @_key (arguments . (alias) @name) (do_block)
  (#any-of? @_key "defmodule" "defprotocol" "defimpl")) @class
(call target: (identifier) @_key (arguments . (call target: (identifier) @name))
  (#any-of? @_key "def" "defp" "defmacro" "defmacrop" "defguard" "defguardp")) @function
(call target: (identifier) @_key
  (arguments . (binary_operator left: (call target: (identifier) @name)))
  (#any-of? @_key "def" "defp" "defmacro" "defmacrop" "defguard" "defguardp")) @function
(call target: (identifier) @_key (arguments . (identifier) @name)
  (#any-of? @_key "def" "defp" "defmacro" "defmacrop")) @function
(call target: (identifier) @scope (arguments . (string) @name) (do_block)) @call
"""

_LUA: Final = """
(function_declaration name: (_) @name) @function
(assignment_statement (variable_list name: (_) @name)
  (expression_list value: (function_definition))) @function
(chunk (variable_declaration (assignment_statement (variable_list name: (_) @name)
  (expression_list value: (function_definition)))) @function)
(chunk (variable_declaration (assignment_statement (variable_list name: (_) @name))) @value)
(field name: (_) @name value: (function_definition)) @function
"""

_BASH: Final = """
(function_definition name: (_) @name) @function
(program (variable_assignment name: (_) @name) @value)
(program (declaration_command (variable_assignment name: (_) @name)) @value)
"""

_EXPORTS: Final = frozenset({"export_statement", "decorated_definition", "ambient_declaration"})

LANGUAGES: Final = {
    "python": Language("tree_sitter_python", _PYTHON, wrappers=_EXPORTS),
    "javascript": Language("tree_sitter_javascript", _JAVASCRIPT + _FIELD_JS, wrappers=_EXPORTS),
    "typescript": Language(
        "tree_sitter_typescript", _TYPESCRIPT, "language_typescript", wrappers=_EXPORTS
    ),
    "tsx": Language("tree_sitter_typescript", _TYPESCRIPT, "language_tsx", wrappers=_EXPORTS),
    "go": Language("tree_sitter_go", _GO),
    "rust": Language("tree_sitter_rust", _RUST),
    "java": Language("tree_sitter_java", _JAVA),
    "kotlin": Language("tree_sitter_kotlin", _KOTLIN),
    "c": Language("tree_sitter_c", _C),
    "cpp": Language("tree_sitter_cpp", _CPP, wrappers=frozenset({"template_declaration"})),
    "csharp": Language("tree_sitter_c_sharp", _C_SHARP),
    "ruby": Language("tree_sitter_ruby", _RUBY),
    "php": Language("tree_sitter_php", _PHP, "language_php"),
    "swift": Language("tree_sitter_swift", _SWIFT),
    "scala": Language("tree_sitter_scala", _SCALA),
    "elixir": Language("tree_sitter_elixir", _ELIXIR),
    "lua": Language("tree_sitter_lua", _LUA),
    "bash": Language("tree_sitter_bash", _BASH),
}

_SUFFIXES: Final = {
    "python": "py pyi pyw",
    "javascript": "js mjs cjs jsx",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "kotlin": "kt kts",
    "c": "c",
    "cpp": "cc cpp cxx c++ h hh hpp hxx h++ inl ipp tcc cu cuh",
    "csharp": "cs",
    "ruby": "rb rake gemspec ru",
    "php": "php phtml",
    "swift": "swift",
    "scala": "scala sc sbt",
    "elixir": "ex exs",
    "lua": "lua",
    "bash": "sh bash zsh ksh bats",
}
_LANGUAGE_OF: Final = {
    suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()
}
_NAMES: Final = {"rakefile": "ruby", "gemfile": "ruby", "sconstruct": "python", "build": "python"}


def language_of(path: str) -> str:
    """The name of the language in ``LANGUAGES`` that the path's name says; empty for none."""
    name = path.rpartition("/")[2].lower()
    stem, dot, suffix = name.rpartition(".")
    return _LANGUAGE_OF.get(suffix, "") if dot and stem else _NAMES.get(name, "")
