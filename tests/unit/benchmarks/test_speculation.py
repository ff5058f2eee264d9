from benchmarks.speculation import Context, Count, as_written, count_turn, pieces


def counted(before: str, written: str) -> Count:
    context = Context()
    context.extend(list(before))
    return count_turn(context, list(written))


def test_what_stands_in_the_context_is_written_nine_tokens_a_pass() -> None:
    found = counted("abcdefghijklmnopqrstuvwxyz ab", "cdefghijklmnopqrst")
    assert (found.written, found.passes, found.accepted) == (18, 2, 16)
    # The first of them ends an n-gram of 4 that begins before the turn: " abc" stands nowhere.
    assert found.repeated == 17


def test_nothing_is_drafted_for_what_stands_nowhere_before() -> None:
    found = counted("abcdef ", "123456789")
    assert (found.passes, found.drafted, found.repeated) == (9, 0, 0)
    assert found.row("x")["speed_1_streams"] == 1.0


def test_a_wrong_draft_costs_and_gives_one_token() -> None:
    found = counted("abcXYZXYZXYZ ab", "c123")
    assert found.accepted == 1
    assert found.drafted > found.accepted
    assert found.row("x")["speed_16_streams"] < 1


def test_the_longest_ending_counts_and_of_its_places_the_first() -> None:
    context = Context()
    context.extend(list("wxab1......xab2......xab3......xab"))
    assert context.draft()[0] == "2"
    context.extend(list("!!!ab"))
    assert context.draft()[0] == "1"


def test_a_draft_follows_from_what_the_turn_itself_wrote() -> None:
    found = counted("", "abcdabcdabcdabcdabcd")
    assert found.passes < found.written
    # The last pass has no token to give beyond its draft.
    assert found.accepted + found.passes == found.written + 1


def test_calls_are_counted_in_the_form_in_which_they_are_written() -> None:
    call = {"function": {"name": "Read", "arguments": '{"path": "/a"}'}}
    text = as_written({"role": "assistant", "content": "I look.", "tool_calls": [call]})
    assert text == (
        'I look.\n<tool_call>\n{"name": "Read", "arguments": {"path": "/a"}}\n</tool_call>'
    )
    assert "".join(pieces(text)) == text
