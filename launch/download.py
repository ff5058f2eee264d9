"""Fetching a checkpoint from the hub: only when asked for, resumable, with progress."""

from collections.abc import Callable
from pathlib import Path

from launch.errors import CannotRun, LaunchError

_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]


def download(name: str, hub: Path, say: Callable[[str], None]) -> Path:
    """The folder of the checkpoint in the cache, complete. Goes on where an earlier one stopped.

    Progress bars are huggingface_hub's own, on stderr.

    Raises:
        CannotRun: huggingface_hub is missing, the model is gated, or there is no such model.
        LaunchError: the network or the disk failed.
    """
    import httpx

    try:
        from huggingface_hub import snapshot_download  # type: ignore[import-not-found,unused-ignore]
        from huggingface_hub.errors import (  # type: ignore[import-not-found,unused-ignore]
            GatedRepoError,
            RepositoryNotFoundError,
        )
    except ImportError:
        hint = "pip install huggingface_hub, which comes with vLLM"
        raise CannotRun("downloading needs huggingface_hub, which is not installed", hint) from None
    say(f"downloading {name}; it can be interrupted and goes on where it stopped")
    try:
        return Path(snapshot_download(name, cache_dir=hub, allow_patterns=_PATTERNS))
    except GatedRepoError:
        hint = f"accept the terms at https://huggingface.co/{name}, then `hf auth login`"
        raise CannotRun(f"the model {name!r} is gated", hint) from None
    except RepositoryNotFoundError:
        hint = "check FASTCONTEXT_ENGINE_MODELS; a private model needs `hf auth login`"
        raise CannotRun(f"there is no model {name!r} on the hub", hint) from None
    except (OSError, httpx.HTTPError) as error:
        problem = f"the download of {name!r} broke off: {_first_line(error)}"
        raise LaunchError(problem, "run the same command again: it goes on there") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
