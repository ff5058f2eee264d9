"""Downloading a checkpoint from the hub: only on request, with progress, resuming where it stopped.

huggingface_hub (2.4.0) starts an interrupted file from the beginning. So each file is downloaded
here into a partial file beside its place in the cache, and huggingface_hub finds it complete.
"""

import hashlib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import httpx

from launch.errors import CannotRun, LaunchError
from launch.files import Lock
from launch.plan.checkpoint import cache_folder

_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
_TIMEOUT_S = 30.0
"""How long a connection may be silent until it counts as broken."""
_PIECE_BYTES = 1 << 20
_AGAIN = "run the same command again: it continues there"


def download(name: str, hub: Path, say: Callable[[str], None]) -> Path:
    """The folder of the checkpoint in the cache, complete. Continues an interrupted download.

    Progress bars are huggingface_hub's own, on stderr.

    Raises:
        CannotRun: huggingface_hub is missing, the model is gated, or there is no such model.
        LaunchError: the network or the disk failed.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
        )
    except ImportError:
        hint = "pip install huggingface_hub, which comes with vLLM"
        raise CannotRun("downloading needs huggingface_hub, which is not installed", hint) from None
    # huggingface_hub's HTTP library raises its own errors; which library depends on the version.
    network: tuple[type[Exception], ...] = (OSError, httpx.HTTPError, *HfHubHTTPError.__bases__)
    say(f"downloading {name}; if interrupted, the next download continues there")
    check = "check FASTCONTEXT_ENGINE_MODELS"
    try:
        _fetch_files(name, hub)
        return Path(snapshot_download(name, cache_dir=hub, allow_patterns=_PATTERNS))
    except HFValidationError:
        raise CannotRun(f"{name!r} is neither a folder nor a model on the hub", check) from None
    except GatedRepoError:
        hint = f"accept the terms at https://huggingface.co/{name}, then `hf auth login`"
        raise CannotRun(f"the model {name!r} is gated", hint) from None
    except RepositoryNotFoundError:
        hint = f"{check}; a private model needs `hf auth login`"
        raise CannotRun(f"there is no model {name!r} on the hub", hint) from None
    except network as error:
        problem = f"the download of {name!r} was interrupted: {_first_line(error)}"
        raise LaunchError(problem, _AGAIN) from None


def _fetch_files(name: str, hub: Path) -> None:
    """Download the content of all files of a model into the cache."""
    from huggingface_hub import HfApi, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils import build_hf_headers

    api = HfApi()
    found = api.model_info(name)
    blobs = cache_folder(name, hub) / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    for file in [each.rfilename for each in found.siblings or ()]:
        here = try_to_load_from_cache(name, file, cache_dir=hub, revision=found.sha)
        if isinstance(here, str) or not any(fnmatch(file, pattern) for pattern in _PATTERNS):
            continue
        url = hf_hub_url(name, file, revision=found.sha)
        about = api.get_hf_file_metadata(url=url)
        # Files without a content name or size are left to huggingface_hub; names are hexadecimal.
        if about.etag and about.etag.isalnum() and about.size and not (blobs / about.etag).exists():
            _fetch(url, build_hf_headers(), blobs / about.etag, about.size, file)


def _fetch(url: str, headers: dict[str, str], blob: Path, size: int, shown: str) -> None:
    """Download one file to ``blob``, which is named as the hub names that content.

    Raises:
        LaunchError: another process downloads it, the hub refuses it, or the content is wrong.
        httpx.HTTPError, OSError: the network or the disk failed; what has come is kept.
    """
    from huggingface_hub.utils import tqdm

    part = blob.with_name(f"{blob.name}.incomplete")
    # Made before the lock, which would make it private: caches may be shared.
    part.touch()
    lock = Lock(part)
    if not lock.take():
        raise LaunchError(f"{shown!r} is being downloaded by another process", "wait until it ends")
    try:
        had = _size(part)
        with tqdm(desc=shown, total=size, initial=had, unit="B", unit_scale=True) as bar:
            while had < size:
                broken = _read_on(url, headers, part, bar.update)
                had, before = _size(part), had
                if had <= before:
                    raise broken or httpx.ReadError("no data came")
        if had != size or not _is_content(part, blob.name):
            part.unlink()
            raise LaunchError(
                f"the content of {shown!r} is not what the hub announced",
                "run the same command again: it downloads this file from the beginning",
            )
        part.replace(blob)
    finally:
        lock.drop()


def _read_on(
    url: str, headers: dict[str, str], part: Path, moved: Callable[[int], object]
) -> httpx.TransportError | None:
    """Append what comes to a partial file; why the connection broke, or None if it did not."""
    asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={_size(part)}-"}
    client = httpx.Client(headers=asked, follow_redirects=True, timeout=_TIMEOUT_S)
    try:
        with client, client.stream("GET", url) as answer, part.open("ab") as file:
            if answer.status_code == 200:
                # A server without ranges sends the file from the beginning.
                moved(-file.tell())
                file.truncate(0)
            elif answer.status_code != 206:
                raise LaunchError(f"the hub refuses a file with {answer.status_code}", _AGAIN)
            for piece in answer.iter_bytes(_PIECE_BYTES):
                file.write(piece)
                moved(len(piece))
    except httpx.TransportError as error:
        return error
    return None


def _size(file: Path) -> int:
    return file.stat().st_size


def _is_content(file: Path, name: str) -> bool:
    """Whether a file's content fits its name: large files are named by their SHA-256."""
    if len(name) != hashlib.sha256().digest_size * 2:
        return True
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == name


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
