"""Fetching a checkpoint from the hub: only when asked for, with progress, on from where it broke.

huggingface_hub (2.4.0) begins a file anew that broke off. So each file is fetched here into one
partial file beside the place where it belongs in the cache, and huggingface_hub finds it there.
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
"""Without a byte, until a connection counts as broken."""
_PIECE_BYTES = 1 << 20
_AGAIN = "run the same command again: it goes on there"


def download(name: str, hub: Path, say: Callable[[str], None]) -> Path:
    """The folder of the checkpoint in the cache, complete. Goes on where an earlier one stopped.

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
    # The library under huggingface_hub has errors of its own, and is another one by its version.
    network: tuple[type[Exception], ...] = (OSError, httpx.HTTPError, *HfHubHTTPError.__bases__)
    say(f"downloading {name}; it can be interrupted and goes on where it stopped")
    check = "check FASTCONTEXT_ENGINE_MODELS"
    try:
        _fetch_files(name, hub)
        return Path(snapshot_download(name, cache_dir=hub, allow_patterns=_PATTERNS))
    except HFValidationError:
        raise CannotRun(f"{name!r} is neither a folder nor a model of the hub", check) from None
    except GatedRepoError:
        hint = f"accept the terms at https://huggingface.co/{name}, then `hf auth login`"
        raise CannotRun(f"the model {name!r} is gated", hint) from None
    except RepositoryNotFoundError:
        hint = f"{check}; a private model needs `hf auth login`"
        raise CannotRun(f"there is no model {name!r} on the hub", hint) from None
    except network as error:
        problem = f"the download of {name!r} broke off: {_first_line(error)}"
        raise LaunchError(problem, _AGAIN) from None


def _fetch_files(name: str, hub: Path) -> None:
    """Have the content of all files of a model in the cache."""
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
        # What has no name or size there is left to huggingface_hub; names are hexadecimal.
        if about.etag and about.etag.isalnum() and about.size and not (blobs / about.etag).exists():
            _fetch(url, build_hf_headers(), blobs / about.etag, about.size, file)


def _fetch(url: str, headers: dict[str, str], blob: Path, size: int, shown: str) -> None:
    """Have the content of one file at ``blob``, whose name is the hub's for that content.

    Raises:
        LaunchError: another process fetches it, it is refused, or something else came.
        httpx.HTTPError, OSError: the network or the disk failed; what came is kept.
    """
    from huggingface_hub.utils import tqdm

    part = blob.with_name(f"{blob.name}.incomplete")
    # Made here, so that it can be read by whom the user's other files can: caches are shared.
    part.touch()
    lock = Lock(part)
    if not lock.take():
        raise LaunchError(f"{shown!r} is being downloaded by another process", "wait for its end")
    try:
        had = _size(part)
        with tqdm(desc=shown, total=size, initial=had, unit="B", unit_scale=True) as bar:
            while had < size:
                broken = _read_on(url, headers, part, bar.update)
                had, before = _size(part), had
                if had <= before:
                    raise broken or httpx.ReadError("nothing came")
        if had != size or not _is_content(part, blob.name):
            part.unlink()
            raise LaunchError(
                f"what came for {shown!r} is not what the hub names",
                "run the same command again: it begins this file anew",
            )
        part.replace(blob)
    finally:
        lock.drop()


def _read_on(
    url: str, headers: dict[str, str], part: Path, moved: Callable[[int], object]
) -> httpx.TransportError | None:
    """Add to a partial file what comes; why it broke off, None at the end of the answer."""
    asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={_size(part)}-"}
    client = httpx.Client(headers=asked, follow_redirects=True, timeout=_TIMEOUT_S)
    try:
        with client, client.stream("GET", url) as answer, part.open("ab") as file:
            if answer.status_code == 200:
                # A server that knows no ranges begins anew.
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
    """Whether a file holds what its name says: large ones are named by their SHA-256."""
    if len(name) != hashlib.sha256().digest_size * 2:
        return True
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == name


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
