import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.engines.sse import MAX_EVENT_BYTES, EventTooLarge, SseDecoder


def decode(*chunks: bytes) -> list[str]:
    decoder = SseDecoder()
    return [data for chunk in chunks for data in decoder.feed(chunk)] + decoder.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata:b\n\n", ["a", "b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data:  a\n\n", [" a"]),
        (b": comment\n\nevent: x\nid: 1\ndata: a\nretry: 3\n\n", ["a"]),
        (b"data: a", ["a"]),
        (b"data: a\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"\n\n\n", []),
        (b"", []),
    ],
)
def test_events_are_decoded(stream: bytes, events: list[str]) -> None:
    assert decode(stream) == events


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(["data: é", "data:", ": c", "\n", "\r", "\r\n", "id: 1", "junk"])),
    st.data(),
)
def test_no_split_changes_the_events(pieces: list[str], data: st.DataObject) -> None:
    stream = "".join(pieces).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    assert decode(*chunks) == decode(stream)
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == decode(stream)


def test_the_first_line_that_is_no_field_is_kept_for_the_error() -> None:
    decoder = SseDecoder()
    decoder.feed(b": fine\nWelcome to nginx\nagain\n")
    assert decoder.stray == "Welcome to nginx"


@pytest.mark.parametrize("line", [b"x" * 2**16, b"data: " + b"x" * 2**16 + b"\n"])
def test_an_event_without_end_is_refused(line: bytes) -> None:
    with pytest.raises(EventTooLarge):
        decode(*[line] * (MAX_EVENT_BYTES // len(line) + 2))


def test_comments_without_end_are_forgotten() -> None:
    decoder = SseDecoder()
    for _ in range(MAX_EVENT_BYTES // 2**16 + 2):
        assert decoder.feed(b": " + b"x" * 2**16 + b"\n") == []
