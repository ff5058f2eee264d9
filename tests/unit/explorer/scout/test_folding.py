"""What looks the same to a reader is the same to the scout; ASCII stays as it is."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from explorer.repository.workspace import Workspace
from explorer.scout import Scout
from explorer.scout.folding import apart, fold, folded, plain, seamed
from explorer.scout.query import parse_query
from explorer.scout.tokens import words_of
from tests.tooling import write_tree

PLAIN = "where is retry_delay computed?"
WORD = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{1,12}", fullmatch=True)
BLANK = st.sampled_from("\u00a0\u2002\u2009\u202f\u205f\u3000\u200b\u1680")
QUOTES = st.sampled_from("“” ‘’ „“ «» »« ‹› 「」 『』 《》 〝〞 ＂＂ ‚‘ ´´".split())


def terms(text):
    return [(parts, whole) for _, parts, whole in words_of(text)]


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_stays_as_it_is(text):
    data = text.encode()

    assert fold(data) is data
    assert plain(text) is seamed(text) is apart(text) is folded(text) is text


@given(WORD, QUOTES, BLANK)
def test_quotes_and_blanks_beyond_ascii_end_a_word_as_those_of_ascii_do(name, quotes, blank):
    said = f"where{blank}is {quotes[0]}{name}{quotes[1]}{blank}computed…"

    assert terms(said) == terms(f'where is "{name}" computed...')


@given(
    WORD,
    st.sampled_from(
        ["在哪里计算", "はどこで計算される", "를 계산하는", "คำนวณที่ไหน", "，返回值", "」の"]
    ),
)
def test_a_name_that_touches_a_script_without_spaces_is_a_word_of_its_own(name, other):
    for said in (name + other, other + name, other + name + other):
        assert terms(name)[0] in terms(said)


@given(st.text(st.characters(categories=["Lu", "Ll"], min_codepoint=0xC0, max_codepoint=0x52F)))
@example("\u0131")
def test_letters_beyond_ascii_fold_case_and_form(word):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert terms(unicodedata.normalize(form, word)) == terms(word)
    if all(char.islower() and char.upper().isupper() and len(char.upper()) == 1 for char in word):
        assert terms(word.upper()) == terms(word)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GRÖSSE", "größe"),
        ("Straße", "STRASSE"),
        ("ЗАКАЗ", "заказ"),
        ("ＲＥＴＲＹ＿ｄｅｌａｙ", "RETRY_delay"),
        ("getÜbersicht", "get_übersicht"),
        ("НайтиЗаказ", "найти_заказ"),
        ("ÜBERSICHT_laden", "ÜbersichtLaden"),
        ("ﾘﾄﾗｲ", "リトライ"),
        ("re\u00adtry", "retry"),
        ("retry_\u200bdelay", "retry_delay"),
    ],
)
def test_two_spellings_of_a_name_have_the_same_terms(one, other):
    assert terms(one) == terms(other)


@pytest.mark.parametrize(
    "text", ["计算重试延迟", "リトライ間隔を計算する", "재시도 지연을 계산한다"]
)
def test_a_run_without_spaces_is_its_pairs_of_characters(text):
    assert {word for word, _, _ in words_of(text)} == {
        run[at : at + 2] for run in text.split() for at in range(max(1, len(run) - 1))
    }


@given(st.lists(st.text(max_size=20) | st.just("\ufdfa" * 50), max_size=6), st.binary(max_size=20))
def test_folding_keeps_the_lines_and_bounds_the_size(lines, noise):
    data = "\n".join(lines).encode("utf-8", "replace") + b"\n" + noise

    assert fold(data).count(b"\n") == data.count(b"\n")
    assert len(fold(data)) <= 2.5 * len(data)


@given(st.text(max_size=60))
def test_question_and_index_make_the_same_terms_of_any_text(text):
    once = fold(text.replace("\n", " ").encode("utf-8", "replace")).decode()

    assert terms(once) == terms(text.replace("\n", " ").encode("utf-8", "replace").decode())


def test_quoted_text_is_kept_as_the_index_has_it():
    assert parse_query("エラー「保存に失敗」").quoted == (fold("保存に失敗".encode()).strip(),)
    assert parse_query("it says “Größe fehlt” now").quoted == (fold("größe fehlt".encode()),)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "said",
    [
        "where is “retry_delay” computed?",
        "where\u00a0is\u00a0retry_delay\u00a0computed?",
        "where is\u200bretry_delay\u200b computed?",
        "wo wird »retry_delay« berechnet?",
        "where is ‹retry_delay›… computed",
        "问题：retry_delay，返回值太大",
        "リトライの遅延retry_delayはどこで計算されますか",
        "어디서retry_delay를 계산합니까",
        "WO WIRD DIE VERZÖGERUNG BERECHNET",
        "wo wird die Verzo\u0308gerung berechnet",
        "重试延迟在哪里计算？",
        "リトライ間隔はどこで計算される？",
        "재시도 지연은 어디에서 계산됩니까?",
        "error “保存に失敗しました”",
    ],
)
async def test_a_question_finds_the_file_however_it_is_typed(tmp_path, said):
    tree = {
        "client.py": "# Berechnet die Verzögerung. 计算重试延迟。リトライ間隔を計算する。\n"
        "# 재시도 지연을 계산한다\ndef retry_delay(n):\n    raise E('保存に失敗しました')\n",
        "pool.py": "# Schließt die Verbindung. 关闭数据库连接池。\nclass Pool:\n    pass\n",
        "order.py": "# 주문을 저장한다\ndef save(order):\n    pass\n",
    }
    with Workspace.open(write_tree(tmp_path, tree)) as workspace:
        found = await Scout(workspace).answer(said)

    assert found.citations[0].path == "client.py"
