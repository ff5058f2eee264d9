from explorer.scout.query import MAX_TERMS, parse_query
from explorer.scout.tokens import words_of


def index_of(query, word):
    _, parts, whole = words_of(word)[0]
    wanted = whole if len(parts) > 1 else parts[0]
    return query.terms.tolist().index(wanted)


def test_stop_words_alone_are_an_empty_query():
    assert parse_query("where is the thing that should be used").empty


def test_an_empty_query_is_empty():
    assert parse_query("").empty
    assert parse_query(" \n\t ").empty


def test_a_stop_word_in_backticks_is_code_and_counts():
    query = parse_query("how `call` ends")

    assert query.code[index_of(query, "call")]


def test_the_first_line_is_the_title():
    query = parse_query("Broken cursor\n\nThe buffer leaks.")

    assert query.title[index_of(query, "cursor")]
    assert not query.title[index_of(query, "buffer")]


def test_a_camel_case_word_is_code_in_whole_and_parts():
    query = parse_query("the ConnectionPool leaks")

    assert query.code[index_of(query, "ConnectionPool")]
    assert query.whole[index_of(query, "ConnectionPool")]
    assert query.code[index_of(query, "connection")]
    assert not query.code[index_of(query, "leaks")]


def test_mentioned_paths_and_quoted_texts_are_kept():
    query = parse_query('In src/pool.py:12 it says "connection lost" again')

    assert "src/pool.py" in query.paths
    assert b"connection lost" in query.quoted


def test_frames_of_a_stack_trace_are_recognised_in_several_languages():
    trace = (
        'Traceback:\n  File "/app/lib/pool.py", line 3, in take\n'
        "    at org.kafka.Log.append(Log.java:120)\n"
        "    at run (/srv/app/server.js:10:5)\n"
    )
    query = parse_query(trace)

    assert len(query.trace.frames) == 3
    assert "app/lib/pool.py" in query.paths
    assert "org/kafka/log.java" in query.paths


def test_a_huge_query_has_a_bounded_number_of_terms_with_its_end_among_them():
    query = parse_query(" ".join(f"word{n}x" for n in range(12_000)) + " lastword lastword")

    assert len(query.terms) <= MAX_TERMS
    assert index_of(query, "lastword") >= 0
