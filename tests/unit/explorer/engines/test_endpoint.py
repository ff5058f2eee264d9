import pytest

from explorer.engines.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("text", "base_url", "local"),
    [
        ("http://127.0.0.1:30000/v1", "http://127.0.0.1:30000/v1", True),
        (" http://127.0.0.1:30000/v1/ ", "http://127.0.0.1:30000/v1", True),
        ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1", True),
        ("http://[::1]:8000/v1/models/", "http://[::1]:8000/v1", True),
        ("https://api.example.com/openai/v1", "https://api.example.com/openai/v1", False),
        ("http://127.example.com/v1", "http://127.example.com/v1", False),
        ("http://bücher.example:80/v1", "http://bücher.example:80/v1", False),
        ("http://xn--bcher-kva.example/v1", "http://xn--bcher-kva.example/v1", False),
        ("http://gpu_box.local./v1", "http://gpu_box.local./v1", False),
        ("HTTP://192.168.1.5:1234", "http://192.168.1.5:1234", False),
    ],
)
def test_an_http_url_is_an_endpoint(text: str, base_url: str, local: bool) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.base_url, endpoint.local) == (base_url, local)
    assert endpoint.uds is None
    assert endpoint.shown == base_url


@pytest.mark.parametrize(
    ("text", "uds", "base_url"),
    [
        ("unix:///run/user/1/engine.sock", "/run/user/1/engine.sock", "http://localhost/v1"),
        ("unix:///a%20b.sock", "/a b.sock", "http://localhost/v1"),
        ("http+unix://%2Frun%2Fe.sock", "/run/e.sock", "http://localhost/v1"),
        ("http+unix://%2Frun%2Fe.sock/api/v2/", "/run/e.sock", "http://localhost/api/v2"),
    ],
)
def test_a_unix_socket_is_an_endpoint(text: str, uds: str, base_url: str) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.uds, endpoint.base_url, endpoint.local) == (uds, base_url, True)
    assert endpoint.shown == f"unix://{uds}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost:30000/v1", "127.0.0.1", "/v1", "ftp://host/v1", "file:///etc/passwd"),
        *("http://", "http:///v1", "http://host:port/v1", "http://host:0/v1", "http://[::1/v1"),
        *("http://ho st/v1", "http://host/v1\nX: y", "unix://", "unix://relative.sock"),
        *("http://xn--/v1", "http://xn--a.example/v1", "http://a..b/v1", "http://./v1"),
        *(f"http://{'a' * 64}.example/v1", "http://☃\u200d/v1", "http://[v1.x]/v1"),
        *("unix:///dir/", "http+unix://relative/v1", "https://host:99999/v1"),
    ],
)
def test_anything_else_is_refused_with_the_forms_that_work(text: str) -> None:
    with pytest.raises(ValueError, match=r"hint: write .*unix:///PATH|hint: write unix://"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@host/v1",
        "https://hunter2@host/v1",
        "https://host/v1?api_key=hunter2",
        "https://host/v1#hunter2",
        "http://user:hunter2@[::1/v1",
    ],
)
def test_a_url_with_a_secret_in_it_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="hint: ") as caught:
        parse_endpoint(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "has_version"),
    [("http://h/v1", True), ("http://h/api/v2", True), ("http://h", False), ("http://h/v", False)],
)
def test_a_version_in_the_path_is_seen(text: str, has_version: bool) -> None:
    assert parse_endpoint(text).has_version is has_version
