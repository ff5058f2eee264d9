import pytest

from explorer.repository.documents import EVIDENCE_CHARS, evidence_of, is_definition


@pytest.mark.parametrize(
    "line",
    [
        "def total(self) -> int:",
        "    async def fetch(url):",
        "class Cart(Base):",
        "func (s *Server) Serve(l net.Listener) error {",
        "pub(crate) fn parse<'a>(input: &'a str) -> Result<Ast> {",
        "impl Display for Rule {",
        "export default function createApp() {",
        "const handler = async (event) => {",
        "  public static <K, V> Map<K, V> build(List<K> keys) {",
        "void zfree(void *ptr) {",
        "static int loadFile(char *name, int flags) {",
        "  create(context) {",
        "module ActiveRecord",
        "  def self.connect!(name)",
        "    public function handle($request, Closure $next)",
        "#define OBJ_STRING 0",
        "type Options struct {",
        "interface Props {",
    ],
)
def test_heads_of_definitions_are_recognised_in_every_language(line):
    assert is_definition(line)


@pytest.mark.parametrize(
    "line",
    [
        "    return total(self)",
        "if (ready) {",
        "    } else if (x == 1) {",
        "for (int i = 0; i < n; i++) {",
        "x = 1",
        "    call(argument);",
        "# class of its own",
        "while (true) {",
        "type = 3",
        "",
    ],
)
def test_statements_are_not_taken_for_definitions(line):
    assert not is_definition(line)


def test_the_definition_in_the_range_is_the_evidence():
    lines = ["# Totals.", "x = 1", "def total(cart):", "    return 0"]

    assert evidence_of(lines, 1, 4) == "def total(cart):"


def test_without_a_definition_the_first_telling_line_is_the_evidence():
    lines = ["", "    }", "    // why", "    total += price", "    log()"]

    assert evidence_of(lines, 1, 5) == "total += price"


def test_a_range_of_comments_shows_its_first_one():
    assert evidence_of(["", "  # only", "  # words"], 1, 3) == "# only"


def test_a_definition_outside_the_range_is_not_evidence():
    lines = ["def total(cart):", "    count = 0", "    return count", "def other():"]

    assert evidence_of(lines, 2, 3) == "count = 0"


@pytest.mark.parametrize(("start", "end"), [(1, 3), (5, 9), (0, 0), (-3, -1), (3, 2)])
def test_an_empty_file_or_range_has_no_evidence(start, end):
    assert evidence_of([], start, end) == ""


def test_a_range_that_begins_before_the_file_is_clamped():
    assert evidence_of(["a = 1"], -5, 3) == "a = 1"


def test_a_long_line_is_cut_to_the_limit():
    text = evidence_of(["word " * 500_000], 1, 1)

    assert len(text) <= EVIDENCE_CHARS
    assert text.endswith("...")


def test_white_space_inside_becomes_single_blanks():
    assert evidence_of(["\tint\t\tcount  =  1;\r"], 1, 1) == "int count = 1;"


def test_evidence_holds_no_secret() -> None:
    line = 'def connect(url="postgres://bob:hunter2@db/orders"):'
    assert evidence_of([line], 1, 1) == 'def connect(url="postgres://bob:[masked]@db/orders"):'
