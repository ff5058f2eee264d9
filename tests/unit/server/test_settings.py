"""Settings: where they come from, which wins, and what a wrong one says."""

import os
from pathlib import Path

import pytest

from scripts.reference import meanings
from server.errors import SettingsError
from server.exploring.engines import public_url
from server.homes import default_record_dir
from server.settings import (
    Settings,
    _runtime_of_user,
    engine_directories,
    load_settings,
    user_file,
)
from server.view.records import with_default_folder


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, not yet written, with no setting in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FASTCONTEXT_{name.upper()}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    path = tmp_path / "xdg" / "fastcontext" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_a_flag_wins_over_the_environment_which_wins_over_the_file_which_wins_over_the_default(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().max_turns is None
    user_config.write_text("max_turns = 5\n")
    assert load_settings().max_turns == 5
    monkeypatch.setenv("FASTCONTEXT_MAX_TURNS", "6")
    assert load_settings().max_turns == 6
    assert load_settings(max_turns=7).max_turns == 7
    assert load_settings(max_turns=None).max_turns == 6


def test_an_empty_variable_counts_as_unset(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_config.write_text('endpoint = "http://127.0.0.1:8000/v1"\n')
    monkeypatch.setenv("FASTCONTEXT_ENDPOINT", "")
    assert load_settings().endpoint == "http://127.0.0.1:8000/v1"


def test_arguments_that_a_shell_could_not_read_are_refused(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ENGINE_ARGS", "--served-name 'half")
    with pytest.raises(SettingsError, match="quoted as in a shell"):
        load_settings()


def test_a_mark_of_the_byte_order_at_the_start_of_the_file_is_passed_over(
    user_config: Path,
) -> None:
    user_config.write_text("max_turns = 5\n", encoding="utf-8-sig")
    assert load_settings().max_turns == 5


def test_an_unknown_variable_is_refused_with_the_name_that_was_meant(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ENDPOIT", "http://127.0.0.1:1/v1")
    with pytest.raises(SettingsError, match="FASTCONTEXT_ENDPOIT") as caught:
        load_settings()
    assert caught.value.hint == "did you mean FASTCONTEXT_ENDPOINT?"


def test_an_unknown_key_of_the_file_is_refused_with_the_name_that_was_meant(
    user_config: Path,
) -> None:
    user_config.write_text("max_turn = 3\n")
    with pytest.raises(SettingsError, match="max_turn") as caught:
        load_settings()
    assert "max_turns" in caught.value.hint


def test_the_test_suites_own_variables_are_not_taken_for_mistakes(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_TEST_VLLM_PYTHON", "/nowhere")
    assert load_settings().engine == "auto"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("max_turns = \n", "is not valid TOML"),
        ("max_turns = 0\n", "'max_turns'"),
        ('engine = "gpu"\n', "'engine'"),
        ('endpoint = "localhost:8000"\n', "is not an HTTP URL"),
        ('roots = ["relative"]\n', "must be absolute"),
        ("deadline_s = 0.1\n", "'deadline_s'"),
        ("engine_args = '--model \"half'\n", "is not quoted as in a shell"),
        ("roots = [5]\n", "'roots'"),
        ('roots = ["/a\\u0000b"]\n', "holds a NUL"),
        ('record_dir = "/a\\u0000b"\n', "holds a NUL"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_it_has_to_be(
    user_config: Path, content: str, says: str
) -> None:
    user_config.write_text(content)
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings()
    assert caught.value.hint


def test_a_settings_file_that_would_never_end_is_refused(user_config: Path) -> None:
    os.mkfifo(user_config)
    with pytest.raises(SettingsError, match="is not a regular file"):
        load_settings()


@pytest.mark.parametrize("given", [["--record", "--json"], ["--record="], ["--record"]])
def test_a_record_without_a_folder_goes_to_the_usual_one(given: list[str]) -> None:
    assert with_default_folder(given)[0] == f"--record={default_record_dir()}"


def test_keys_never_appear_in_what_is_printed(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_API_KEY", "sk-very-secret")
    monkeypatch.setenv("FASTCONTEXT_HTTP_TOKEN", "tok-very-secret")
    settings = load_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-very-secret"
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "very-secret" not in text


@pytest.mark.parametrize("name", ["api_key", "http_token"])
def test_a_blank_secret_is_none_and_the_line_end_of_a_file_is_not_part_of_one(
    user_config: Path, name: str
) -> None:
    for given, meant in (("", None), (" \\n", None), ("secret\\n", "secret")):
        user_config.write_text(f'{name} = "{given}"\n')
        secret = getattr(load_settings(), name)
        assert (secret and secret.get_secret_value()) == meant


def test_a_password_in_the_url_is_refused_without_being_repeated(user_config: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(endpoint="http://user:hunter2@example.com/v1")
    assert "hunter2" not in caught.value.text()
    assert "API key" in caught.value.hint


def test_the_endpoint_may_be_given_with_a_slash_or_the_whole_path(user_config: Path) -> None:
    for given in ("http://h:1/v1/", " http://h:1/v1/chat/completions\n", "http://h:1/v1"):
        assert public_url(load_settings(endpoint=given).endpoint) == "http://h:1/v1"


def test_roots_in_the_environment_are_separated_like_a_search_path(
    user_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ROOTS", "/srv/a:/srv/b:")
    assert load_settings().roots == (Path("/srv/a"), Path("/srv/b"))


def test_a_dotenv_file_and_a_project_file_in_the_working_directory_are_not_read(
    user_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "hostile"
    (repository / ".fastcontext").mkdir(parents=True)
    (repository / ".env").write_text("FASTCONTEXT_ENDPOINT=http://evil.example/v1\n")
    (repository / ".fastcontext/config.toml").write_text('endpoint = "http://evil.example/v1"\n')
    (repository / "config.toml").write_text('endpoint = "http://evil.example/v1"\n')
    monkeypatch.chdir(repository)
    assert load_settings().endpoint == ""


def test_a_relative_configuration_folder_is_ignored_because_it_would_be_the_repositorys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert user_file().is_absolute()
    monkeypatch.setenv("HOME", "relative")
    assert user_file().is_absolute()


def test_every_setting_says_what_it_is() -> None:
    told = meanings()
    assert [name for name in Settings.model_fields if not told.get(name)] == []


@pytest.mark.parametrize("given", [{}, {"XDG_RUNTIME_DIR": "/run/user/1000"}])
def test_a_server_without_a_session_finds_the_engine_that_a_shell_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str]
) -> None:
    def of_user(uid: int) -> Path:
        return Path(f"/run/user/{uid}")

    monkeypatch.setattr("server.settings._runtime_of_user", of_user)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert engine_directories()[0] == Path("/run/user/1000/fastcontext")


def test_a_runtime_directory_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    mine, others = os.getuid(), os.getuid() + 1
    (tmp_path / str(mine)).mkdir()
    (tmp_path / str(others)).mkdir()
    assert _runtime_of_user(mine, tmp_path) == tmp_path / str(mine)
    assert _runtime_of_user(others, tmp_path) is None
    assert _runtime_of_user(others + 1, tmp_path) is None
