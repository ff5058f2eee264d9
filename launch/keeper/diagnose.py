"""Why vLLM did not start, read from its log: one sentence and the next step."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from launch.keeper import ports


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What happened, what to do, and whether another try could end otherwise."""

    problem: str
    hint: str
    retry: bool = False


class _Cause(NamedTuple):
    pattern: str
    problem: str
    hint: str
    retry: bool = False


_CAUSES = (
    _Cause(
        r"(gated repo|GatedRepoError|access to model .* is restricted|401 Client Error)",
        "the model is gated: its publisher has to grant access",
        "accept its terms on huggingface.co, log in with `hf auth login`, then run "
        "`fastcontext engine up --download`",
    ),
    _Cause(
        r"(SafetensorError|incomplete metadata|HeaderTooLarge|InvalidHeader|MetadataIncomplete"
        r"|Cannot find any model weights|Could not find .*safetensors|couldn't connect to "
        r"'https://huggingface|outgoing traffic has been disabled|LocalEntryNotFoundError)",
        "the model's files are missing or only partly downloaded",
        "fetch what is missing with `fastcontext engine up --download`",
    ),
    _Cause(
        r"(driver .*(too old|insufficient)|CUDA driver version is insufficient"
        r"|provided PTX was compiled with an unsupported toolchain)",
        "the GPU's driver is too old for this vLLM",
        "update the NVIDIA driver, or install a vLLM built for your CUDA version",
    ),
    _Cause(
        r"(Free memory on device .* is less than desired|CUDA out of memory|OutOfMemoryError"
        r"|No available memory for the cache blocks|larger than the maximum number of tokens"
        r"|KV cache is needed, which is larger|estimated maximum model length)",
        "the GPU has too little free memory for the model and its cache",
        "close what else uses the GPU (`nvidia-smi` lists it), or set a shorter "
        "FASTCONTEXT_ENGINE_CONTEXT",
        retry=True,
    ),
    _Cause(
        r"(Address already in use|\[Errno 98\]|\[Errno 48\])",
        "another program uses the engine's address",
        ports.HINT,
        retry=True,
    ),
    _Cause(
        r"(Failed to find a kernel that can implement the NVFP4|not supported for quantization"
        r"|quantization method .* is not supported)",
        "this vLLM has no kernel for the checkpoint's quantization on this hardware",
        "serve the 16-bit base model: set FASTCONTEXT_ENGINE_MODELS to it",
    ),
    _Cause(
        r"invalid literal for int\(\) with base 10: '(GPU|MIG)-",
        "this vLLM does not accept a UUID in CUDA_VISIBLE_DEVICES",
        "put the GPU's number there, or update vLLM",
    ),
    _Cause(
        r"(No CUDA GPUs are available|Failed to infer device type|no CUDA-capable device)",
        "vLLM sees no GPU",
        "check `nvidia-smi`; a container must be given access to the GPU",
    ),
    _Cause(
        r"(unrecognized arguments?: \S+|error: argument .*)",
        "this vLLM does not know one of the flags",
        "update vLLM to 0.23 or newer, or look at `fastcontext engine plan`",
    ),
    _Cause(
        r"(ModuleNotFoundError: No module named \S+|PackageNotFoundError.*|undefined symbol\S*"
        r"|operator torchvision::nms does not exist|cannot open shared object file)",
        "vLLM's installation is broken",
        "install vLLM again in an environment of its own and set FASTCONTEXT_VLLM to its command",
    ),
    _Cause(
        r"(max_model_len .*greater than the derived|User-specified max_model_len)",
        "the configured context is longer than the model allows",
        "set a shorter FASTCONTEXT_ENGINE_CONTEXT",
    ),
    _Cause(
        r"(No space left on device|Disk quota exceeded)",
        "the disk is full",
        "free some space; the log says on which disk",
    ),
    _Cause(
        r"(Cannot allocate memory|std::bad_alloc|MemoryError|oom-kill)",
        "the machine ran out of memory",
        "close other programs",
        retry=True,
    ),
    _Cause(r"cannot run '[^']*': .*", "the vLLM command cannot be run", "check FASTCONTEXT_VLLM"),
)
_SIGNALS = {137: "it was killed, perhaps for using too much memory", 139: "it crashed"}


def diagnose(log: str, returncode: int | None) -> Diagnosis:
    """The likeliest cause: the first in the list above that the log shows."""
    for cause in _CAUSES:
        found = re.search(cause.pattern, log, re.IGNORECASE)
        if found:
            said = " ".join(found.group(0).split())[:160]
            return Diagnosis(f"{cause.problem} ({said})", cause.hint, cause.retry)
    hint = "see `fastcontext engine logs`"
    if returncode is None:
        return Diagnosis("vLLM did not become ready in time", hint, retry=True)
    how = _SIGNALS.get(returncode, f"exit status {returncode}")
    return Diagnosis(f"vLLM ended: {how}{_last_error(log)}", hint, retry=True)


def _last_error(log: str) -> str:
    """The last line that looks like an exception's, as part of a sentence."""
    for line in reversed(log.splitlines()):
        found = re.search(r"\b([A-Z]\w*(?:Error|Exception)): (.+)", line)
        if found:
            return f" ({found.group(0)[:160].rstrip()})"
    return ""
