"""The command line as people and scripts use it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from explorer.trajectory import FORMAT
from tests.fakes.openai_server import (
    breaks,
    chunk,
    closed_port,
    error,
    hangs,
    html,
    says,
    serving,
    silent,
)
from tests.serving import PATIENCE_S, ROOT, bare_environment
from tests.tooling import write_tree

KEYS = [
    "query", "repository", "engine", "engine_reason", "stop_reason", "answer", "confidence",
    "place_confidence", "citations", "further",
    "turns", "tool_calls", "usage", "elapsed_s", "notes",
]  # fmt: skip
GREP = '<tool_call>\n{"name": "Grep", "arguments": {"pattern": "retry_delay"}}\n</tool_call>'
READ = '<tool_call>\n{"name": "Read", "arguments": {"path": "a.py"}}\n</tool_call>'
ANSWER = says("<final_answer>\na.py:1-2 (the delay)\n</final_answer>")
FAILURES = {
    "HTML": html(),
    "a refused key": error(401, "bad key"),
    "an internal error": error(500, "out of memory"),
    "a broken stream": breaks(chunk({"content": "I am "})),
    "silence": silent(),
    "a stream that stops": hangs(chunk({"content": "I am "})),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = {
        ".git/HEAD": "ref: refs/heads/main\n",
        "a.py": "def retry_delay(attempt: int) -> float:\n    return 2.0**attempt\n",
        "sub/b.py": "from a import retry_delay\n\nprint(retry_delay(3))\n",
        ".env": "RETRY_DELAY_SECRET=hunter2\n",
    }
    return write_tree(tmp_path / "repository", tree)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def fastcontext(
    home: Path, *arguments: str, cwd: Path = ROOT, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "from server.commands.root import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, str(ROOT), *arguments],
        cwd=cwd,
        env=bare_environment(home, **settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def explored(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_json_prints_one_object_with_the_promised_keys(home: Path, repository: Path) -> None:
    done = fastcontext(home, "explore", "retry delay", "--repo", str(repository), "--json")
    found = explored(done)
    assert list(found) == KEYS
    assert found["engine"] == "scout"
    assert found["engine_reason"].startswith("no endpoint is configured")
    assert found["stop_reason"] == "answered"
    assert found["repository"] == str(repository)
    assert "a.py" in [each["path"] for each in found["citations"]]
    assert list(found["citations"][0]) == [
        "path", "start", "end", "name", "reason", "evidence", "part", "code", "links"
    ]  # fmt: skip
    assert "hunter2" not in done.stdout
    assert done.stderr == ""


def test_a_pipe_gets_plain_text_with_places_evidence_and_who_answered(
    home: Path, repository: Path
) -> None:
    done = fastcontext(home, "explore", "retry delay", "--repo", str(repository))
    assert done.returncode == 0
    assert "a.py:1-" in done.stdout
    assert "def retry_delay(attempt: int) -> float:" in done.stdout
    assert "Answered by the scout (no endpoint is configured" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_repository_around_the_working_directory_is_the_default(
    home: Path, repository: Path
) -> None:
    done = fastcontext(home, "explore", "retry delay", "--json", cwd=repository / "sub")
    found = explored(done)
    assert found["repository"] == str(repository)
    assert "sub/b.py" in [each["path"] for each in found["citations"] + found["further"]]


def test_a_dash_reads_the_query_from_stdin(home: Path, repository: Path) -> None:
    done = fastcontext(
        home, "explore", "-", "--repo", str(repository), "--json", stdin="retry delay\n"
    )
    assert explored(done)["query"] == "retry delay"


def test_the_model_answers_through_the_endpoint(home: Path, repository: Path) -> None:
    with serving([says(GREP + READ), ANSWER]) as model:
        done = fastcontext(
            home, "explore", "where?", "--repo", str(repository), "--endpoint", model.url, "--json"
        )
    found = explored(done)
    assert (found["engine"], found["stop_reason"]) == ("endpoint", "answered")
    assert (found["turns"], found["tool_calls"]) == (2, 2)
    cited = found["citations"]
    assert [(each["path"], each["start"], each["end"]) for each in cited] == [("a.py", 1, 2)]
    assert model.chats[0].json["model"] == "fake-model"


def test_the_key_is_sent_and_never_shown(home: Path, repository: Path) -> None:
    with serving([error(401, "bad key")]) as model:
        done = fastcontext(
            home, "explore", "retry", "--repo", str(repository), "--json",
            FASTCONTEXT_ENDPOINT=model.url,
            FASTCONTEXT_API_KEY="sk-very-secret",
            FASTCONTEXT_LOG_LEVEL="DEBUG",
        )  # fmt: skip
    assert model.chats[0].headers["authorization"] == "Bearer sk-very-secret"
    assert explored(done)["engine"] == "scout"
    assert "very-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("failure", FAILURES)
def test_the_scout_answers_for_an_endpoint_that_fails_and_says_why(
    home: Path, repository: Path, failure: str
) -> None:
    with serving([FAILURES[failure]]) as model:
        done = fastcontext(
            home, "explore", "retry delay", "--repo", str(repository), "--json",
            "--endpoint", model.url, "--deadline", "3",
        )  # fmt: skip
    found = explored(done)
    assert (found["engine"], found["stop_reason"]) == ("scout", "fallback")
    assert "model" in found["engine_reason"]
    assert "a.py" in [each["path"] for each in found["citations"]]


def test_the_scout_answers_for_an_endpoint_that_is_down(home: Path, repository: Path) -> None:
    done = fastcontext(
        home, "explore", "retry delay", "--repo", str(repository), "--json",
        "--endpoint", f"http://127.0.0.1:{closed_port()}/v1",
    )  # fmt: skip
    assert explored(done)["stop_reason"] == "fallback"


def test_what_the_model_read_before_the_endpoint_broke_is_kept(
    home: Path, repository: Path
) -> None:
    with serving([says(READ), error(500, "out of memory")]) as model:
        done = fastcontext(
            home, "explore", "zzz", "--repo", str(repository), "--json", "--endpoint", model.url
        )
    found = explored(done)
    assert found["stop_reason"] == "fallback"
    assert found["tool_calls"] == 1
    assert "a.py" in [each["path"] for each in found["citations"]]


def test_without_fallback_a_failing_endpoint_fails_the_command(
    home: Path, repository: Path
) -> None:
    with serving([html()]) as model:
        done = fastcontext(
            home, "explore", "retry", "--repo", str(repository), "--no-fallback",
            "--endpoint", model.url,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr


def test_the_scout_can_be_asked_for_though_an_endpoint_is_set(home: Path, repository: Path) -> None:
    with serving([ANSWER]) as model:
        done = fastcontext(
            home, "explore", "retry delay", "--repo", str(repository), "--json",
            "--engine", "scout", FASTCONTEXT_ENDPOINT=model.url,
        )  # fmt: skip
    assert explored(done)["engine_reason"] == "the scout was asked for"
    assert model.requests == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["explore"], "Missing argument"),
        (["explore", "q", "--no-such-option"], "No such option"),
        (["explore", "--dry-run"], "comes last, behind --"),
        (["explore", "q", "--engine", "gpu"], "gpu"),
        (["explore", "q", "--max-turns", "0"], "max_turns"),
        (["explore", "q", "--deadline", "soon"], "--deadline"),
        (["explore", ""], "the query is empty"),
        (["explore", "q", "--engine", "endpoint"], "needs an endpoint"),
        (["explore", "q", "--endpoint", "localhost"], "not an HTTP URL"),
        (["serve", "--http", "nonsense"], "not an address"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_exits_with_2_an_error_and_a_hint(
    home: Path, repository: Path, arguments: list[str], says: str
) -> None:
    done = fastcontext(home, *arguments, cwd=repository)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["/no/such/dir", "/", "/etc"])
def test_a_directory_that_cannot_be_explored_fails_with_what_to_do(home: Path, path: str) -> None:
    done = fastcontext(home, "explore", "q", "--repo", path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr


def test_a_query_of_100_kilobytes_is_answered(home: Path, repository: Path) -> None:
    done = fastcontext(
        home, "explore", "-", "--repo", str(repository), "--json",
        stdin="retry_delay " + "blah " * 20_000,
    )  # fmt: skip
    found = explored(done)
    assert "a.py" in [each["path"] for each in found["citations"]]
    assert any("left out" in note for note in found["notes"])


def test_the_trajectory_is_kept_where_asked_and_never_in_the_repository(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    with serving([says(READ), ANSWER]) as model:
        done = fastcontext(
            home, "explore", "where?", "--repo", str(repository), "--json",
            "--endpoint", model.url, "--record", str(tmp_path / "runs"),
        )  # fmt: skip
    explored(done)
    (record,) = (tmp_path / "runs").iterdir()
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert lines[0]["format"] == FORMAT
    inside = fastcontext(
        home, "explore", "where?", "--repo", str(repository), "--record", str(repository / "runs")
    )
    assert inside.returncode == 2
    assert not (repository / "runs").exists()


def test_the_version_is_one_line(home: Path) -> None:
    done = fastcontext(home, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("fastcontext ")
    assert done.stdout.count("\n") == 1


def test_help_names_every_command(home: Path) -> None:
    done = fastcontext(home, "--help")
    assert done.returncode == 0
    for command in ("explore", "serve", "doctor"):
        assert command in done.stdout


def test_doctor_checks_each_thing_on_a_line_and_passes_without_an_endpoint(
    home: Path, repository: Path
) -> None:
    done = fastcontext(home, "doctor", cwd=repository)
    assert done.returncode == 0
    for what in ("python", "ripgrep", "settings file", "roots", "repository", "endpoint", "vllm"):
        assert f" {what}: " in done.stdout
    assert all(line.startswith(("ok ", "info ")) for line in done.stdout.splitlines())


def test_doctor_fails_with_a_next_step_when_the_endpoint_is_down(
    home: Path, repository: Path
) -> None:
    done = fastcontext(
        home, "doctor", cwd=repository, FASTCONTEXT_ENDPOINT=f"http://127.0.0.1:{closed_port()}/v1"
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    assert "127.0.0.1:" in line
    assert "next: " in line


def test_doctor_fails_with_a_next_step_when_a_setting_is_wrong(home: Path) -> None:
    done = fastcontext(home, "doctor", FASTCONTEXT_MAX_TURNS="many")
    assert done.returncode == 1
    assert "max_turns" in done.stdout


@pytest.mark.parametrize("command", [["engine"], ["bench"]], ids=["engine", "bench"])
def test_without_a_command_the_help_is_shown_in_its_own_form(
    home: Path, command: list[str]
) -> None:
    done = fastcontext(home, *command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == fastcontext(home, *command, "--help").stdout
