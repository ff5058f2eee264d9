"""Settings: flags over environment over the user's file over defaults.

This is the only module that reads settings from the environment and from the configuration file:
``config.toml`` in ``$XDG_CONFIG_HOME/fastcontext``, by default ``~/.config/fastcontext``, on macOS
``~/Library/Application Support/fastcontext``. Nothing in the explored repository is ever read as
configuration, nor is any ``.env`` file.
"""

import difflib
import os
import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError as SourceError

from explorer.engines.endpoint import parse_endpoint
from server.errors import SettingsError
from server.homes import absolute, expanded, home, own_folder

PREFIX = "FASTCONTEXT_"
# Read by the test suite's own fixtures, so not a mistake in the environment.
_TEST_PREFIX = PREFIX + "TEST_"
_LISTED = "docs/reference/settings.md lists the settings"

EngineChoice = Literal["auto", "endpoint", "local", "scout"]


class Settings(BaseSettings):
    """Everything that can be set. ``FASTCONTEXT_`` + the upper-case name is the variable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=None,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    endpoint: str = ""
    """URL of an OpenAI-compatible API up to /v1, or unix:///PATH; several separated by commas.

    Empty: this machine's own engine if there is one, else the scout.
    """
    model: str = ""
    """The model's name at the endpoint. Empty: the first model that the endpoint lists."""
    api_key: SecretStr | None = None
    """The endpoint's key, sent as a bearer token. Never shown."""
    engine: EngineChoice = "auto"
    """Who answers. auto: the endpoint if one is set, else this machine's engine if it can run one,
    else the scout."""
    fallback: bool = True
    """Whether the scout answers when the endpoint fails."""

    reader: Literal["auto", "off"] = "auto"
    """Whether the scout reads what its words find with its own small network. off: words alone."""

    engine_start: bool = True
    """Whether ``auto`` may start this machine's engine in the background if it is not running."""
    engine_download: bool = False
    """Whether a missing checkpoint may be downloaded when the engine is started."""
    engine_models: Annotated[tuple[str, ...], NoDecode] = ()
    """Checkpoints for this machine's engine: folders or Hugging Face names, separated by commas.

    Empty: the published FastContext models.
    """
    engine_profile: Literal["", "nvfp4", "marlin", "fp8", "bf16"] = ""
    """How the engine serves: nvfp4, marlin, fp8 or bf16. Empty: the fastest way for the GPU."""
    engine_context: int = Field(default=0, ge=0, le=1_048_576)
    """The engine's longest context in tokens. 0: as long as memory allows."""
    engine_sequences: int = Field(default=0, ge=0, le=1024)
    """Maximum requests that the engine serves at once. 0: as many as memory allows."""
    engine_speculate: bool = False
    """Whether the engine guesses tokens by prompt lookup."""
    engine_weightless: bool = False
    """Whether the engine loads random weights, for measuring speed."""
    engine_args: str = ""
    """Further arguments for `vllm serve`, quoted as in a shell."""
    engine_port: int = Field(default=-1, ge=-1, le=65_535)
    """Loopback port of the engine; 0: a free one; -1: a Unix socket instead."""
    engine_sleep_after_s: float = Field(default=600.0, ge=0.0)
    """Seconds without an exploration after which the engine gives its memory back. 0: never."""
    engine_stop_after_s: float = Field(default=3600.0, ge=0.0)
    """Seconds without an exploration after which the engine ends. 0: never."""
    engine_start_timeout_s: float = Field(default=900.0, ge=1.0)
    """Maximum seconds until the engine is ready."""
    vllm: str = ""
    """The vllm command to use. Empty: the one in this Python's environment or on PATH."""

    roots: Annotated[tuple[Path, ...], NoDecode] = ()
    """Directories that may be explored, with all that they hold. Empty: any but system directories.

    In the environment, they are separated by ``:``.
    """
    include_hidden: bool | None = None
    """Whether hidden, secret and ignored files are listed, searched and read.

    Unset: if a question asks for them. false: never, whatever a client or its model asks.
    """

    max_turns: int | None = Field(default=None, ge=1, le=64)
    """Maximum model requests per exploration. Unset: the model's default, 8 for FastContext."""
    max_citations: int = Field(default=10, ge=1, le=50)
    """Maximum places in an answer."""
    deadline_s: float = Field(default=45.0, ge=1.0, le=3600.0)
    """Seconds within which an exploration answers. Clients give up at about 60."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """Sampling temperature. Unset: the model's default."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    """Nucleus sampling. Unset: the model's default."""
    top_k: int | None = Field(default=None, ge=-1)
    """How many tokens sampling chooses from. Unset: the model's default."""
    seed: int | None = None
    """Sampling seed. Unset: no seed is sent."""
    max_tokens: int | None = Field(default=None, ge=64, le=32_768)
    """Maximum new tokens per model request. Unset: the model's default, 2,048 for FastContext."""
    context_tokens: int | None = Field(default=None, ge=4_096, le=1_048_576)
    """Maximum tokens of prompt and answer together.

    Unset: the model's default, 65,536 for FastContext, or what the endpoint reports if that is
    less.
    """

    connect_timeout_s: float = Field(default=5.0, gt=0.0, le=120.0)
    """Seconds to wait for a connection to the endpoint."""
    first_token_timeout_s: float = Field(default=120.0, gt=0.0, le=3600.0)
    """Seconds to wait until the endpoint's answer begins: queue, wake-up and a long prompt."""
    read_timeout_s: float = Field(default=60.0, gt=0.0, le=3600.0)
    """Seconds to wait for the next piece of the endpoint's answer."""
    max_concurrent: int = Field(default=4, ge=1, le=256)
    """Maximum explorations by the model at once in one process; others wait."""
    answer_bytes: int = Field(default=6_000, ge=1_000, le=20_000)
    """Maximum UTF-8 bytes of an MCP answer's text."""

    record_dir: Path | None = None
    """Folder for records of runs, outside the explored repository. Unset: nothing is recorded."""
    http_token: SecretStr | None = None
    """Bearer token for HTTP clients, never shown. Unset: one is made and shown on stderr."""
    http_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names that HTTP clients may use besides the loopback ones, separated by commas."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    """The lowest level that is logged on stderr."""

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        if not value.strip():
            return ""
        # Refuses a password in the URL without repeating it.
        urls = [each.strip() for each in value.split(",") if each.strip()]
        for url in urls:
            parse_endpoint(url)
        return ",".join(dict.fromkeys(urls))

    @field_validator("api_key", "http_token", mode="before")
    @classmethod
    def _no_blank_secret(cls, value: Any) -> Any:
        # Blank, it would be a token that every client knows; a line end would break the header.
        return value.strip() or None if isinstance(value, str) else value

    @field_validator("roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        items = value.split(os.pathsep) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            return items
        return tuple(
            expanded(Path(item)) if isinstance(item, (str, Path)) else item
            for item in items
            if str(item).strip()
        )

    @field_validator("roots")
    @classmethod
    def _check_roots(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for root in value:
            if not root.is_absolute():
                raise ValueError(f"must be absolute paths, not {str(root)!r}")
        return value

    @field_validator("engine_args")
    @classmethod
    def _check_engine_args(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            # Without the value: it may hold a secret.
            raise ValueError(f"is not quoted as in a shell: {error}") from None
        return value

    @field_validator("http_hosts", "engine_models", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            return items
        return tuple(str(item).strip() for item in items if str(item).strip())

    @field_validator("record_dir", mode="after")
    @classmethod
    def _expand_record_dir(cls, value: Path | None) -> Path | None:
        return absolute(value) if value is not None else None

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_level(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, the user's file: nothing else is read."""
        user_file = InitSettingsSource(settings_cls, _read_user_file())
        return init_settings, env_settings, user_file


def user_file() -> Path:
    """Where the user's configuration file is looked for, whether or not it exists."""
    return own_folder("config") / "config.toml"


def load_settings(**flags: Any) -> Settings:
    """Settings from all sources; a flag that is ``None`` counts as not given.

    Raises:
        SettingsError: an unknown name, a value that does not fit, an unreadable file.
    """
    known = Settings.model_fields
    variables = [
        name for name in os.environ if name.startswith(PREFIX) and not name.startswith(_TEST_PREFIX)
    ]
    _refuse_unknown("environment variable", variables, [PREFIX + name.upper() for name in known])
    _refuse_unknown(f"key in {user_file()}", _read_user_file(), known)
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise _explain(error) from None
    except SourceError as error:
        raise SettingsError(str(error), "see `fastcontext doctor`") from None


def hub_cache() -> Path:
    """Where Hugging Face's libraries keep models, by their own rules; it need not exist."""
    cache = _absolute("XDG_CACHE_HOME") or home() / ".cache"
    theirs = _absolute("HF_HOME") or cache / "huggingface"
    return _absolute("HF_HUB_CACHE") or theirs / "hub"


def engine_directories() -> tuple[Path, Path, Path]:
    """Directories for the engine's sockets and state, for its logs, and the Hugging Face cache."""
    # Not platformdirs' runtime directory: its last resort depends on TMPDIR, which a shell and a
    # server that a client started need not share. Then they would start two engines.
    runtime = _absolute("XDG_RUNTIME_DIR") or _runtime_of_user(os.getuid())
    # Without one, a directory of this user's own in /tmp; who owns it is checked before its use.
    sockets = runtime / "fastcontext" if runtime else Path(f"/tmp/fastcontext-{os.getuid()}")
    return sockets, own_folder("state"), hub_cache()


def _runtime_of_user(uid: int, parent: Path = Path("/run/user")) -> Path | None:
    """What XDG_RUNTIME_DIR is in a session: clients start servers without it, shells have it."""
    directory = parent / str(uid)
    try:
        mine = directory.stat().st_uid == uid
    except OSError:
        return None
    return directory if mine else None


def _absolute(name: str) -> Path | None:
    value = os.environ.get(name, "")
    return Path(value) if value.startswith("/") else None


def _read_user_file() -> dict[str, Any]:
    path = user_file()
    if path.exists() and not path.is_file():
        problem = f"settings file {str(path)!r} is not a regular file"
        raise SettingsError(problem, "put a file there or move it away")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = f"settings file {str(path)!r} is not valid TOML: {error}"
        raise SettingsError(problem, "correct it or move it away") from None
    except OSError as error:
        problem = f"settings file {str(path)!r} cannot be read: {error.strerror}"
        raise SettingsError(problem, "make it readable or move it away") from None


def _refuse_unknown(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in sorted(set(given).difference(known)):
        nearest = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else _LISTED
        raise SettingsError(f"unknown {kind} {name!r}", hint)


def _explain(error: ValidationError) -> SettingsError:
    """The first problem in words, without the value: it may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    text, _, advice = first["msg"].removeprefix("Value error, ").partition("; hint: ")
    text = text[:1].lower() + text[1:]
    hint = advice or f"set {PREFIX}{name.upper()}, {name} in {user_file()}, or the flag"
    return SettingsError(f"setting {name!r}: {text}", hint)
