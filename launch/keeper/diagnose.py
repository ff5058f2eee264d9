"""Why vLLM did not start, in a sentence, with the next step, read off its log."""

import re
from dataclasses import dataclass

from launch.keeper import ports


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What happened, what to do, and whether another try could end otherwise."""

    problem: str
    hint: str
    retry: bool = False


_CAUSES: tuple[tuple[str, Diagnosis], ...] = (
    (
        r"(gated repo|GatedRepoError|access to model .* is restricted|401 Client Error)",
        Diagnosis(
            "the model is gated: its publisher has to grant access",
            "accept its terms on huggingface.co, log in with `hf auth login`, then "
            "`fastcontext engine up --download`",
        ),
    ),
    (
        r"(SafetensorError|incomplete metadata|HeaderTooLarge|InvalidHeader|MetadataIncomplete"
        r"|Cannot find any model weights|Could not find .*safetensors|couldn't connect to "
        r"'https://huggingface|outgoing traffic has been disabled|LocalEntryNotFoundError)",
        Diagnosis(
            "the model's files are missing or only partly downloaded",
            "`fastcontext engine up --download` fetches what is missing",
        ),
    ),
    (
        r"(driver .*(too old|insufficient)|CUDA driver version is insufficient"
        r"|provided PTX was compiled with an unsupported toolchain)",
        Diagnosis(
            "the GPU's driver is too old for this vLLM",
            "update the NVIDIA driver, or install a vLLM built for your CUDA version",
        ),
    ),
    (
        r"(Free memory on device .* is less than desired|CUDA out of memory|OutOfMemoryError"
        r"|No available memory for the cache blocks|larger than the maximum number of tokens"
        r"|KV cache is needed, which is larger|estimated maximum model length)",
        Diagnosis(
            "the GPU has too little free memory for the model and its cache",
            "close what else uses the GPU (`nvidia-smi` lists it), or set a shorter "
            "FASTCONTEXT_ENGINE_CONTEXT",
            retry=True,
        ),
    ),
    (
        r"(Address already in use|\[Errno 98\]|\[Errno 48\])",
        Diagnosis(
            "the engine's address is taken by another program",
            ports.HINT,
            retry=True,
        ),
    ),
    (
        r"(Failed to find a kernel that can implement the NVFP4|not supported for quantization"
        r"|quantization method .* is not supported)",
        Diagnosis(
            "this vLLM has no kernel for the checkpoint's quantization on this hardware",
            "serve the 16-bit base model: set FASTCONTEXT_ENGINE_MODELS to it",
        ),
    ),
    (
        r"invalid literal for int\(\) with base 10: '(GPU|MIG)-",
        Diagnosis(
            "this vLLM takes no UUID in CUDA_VISIBLE_DEVICES",
            "name the GPU there by its number, or update vLLM",
        ),
    ),
    (
        r"(No CUDA GPUs are available|Failed to infer device type|no CUDA-capable device)",
        Diagnosis(
            "vLLM sees no GPU",
            "check `nvidia-smi`; in a container the GPU has to be passed in",
        ),
    ),
    (
        r"(unrecognized arguments?: \S+|error: argument .*)",
        Diagnosis(
            "this vLLM does not know a flag of the profile",
            "update vLLM to 0.23 or newer, or look at `fastcontext engine plan`",
        ),
    ),
    (
        r"(ModuleNotFoundError: No module named \S+|PackageNotFoundError.*|undefined symbol\S*"
        r"|operator torchvision::nms does not exist|cannot open shared object file)",
        Diagnosis(
            "vLLM's installation is broken",
            "install vLLM afresh in an environment of its own and set FASTCONTEXT_VLLM to it",
        ),
    ),
    (
        r"(max_model_len .*greater than the derived|User-specified max_model_len)",
        Diagnosis(
            "the configured context is longer than the model allows",
            "set a shorter FASTCONTEXT_ENGINE_CONTEXT",
        ),
    ),
    (
        r"(No space left on device|Disk quota exceeded)",
        Diagnosis("the disk is full", "free some space; the log says where"),
    ),
    (
        r"(Cannot allocate memory|std::bad_alloc|MemoryError|oom-kill)",
        Diagnosis("the machine ran out of memory", "close other programs", retry=True),
    ),
    (
        r"cannot run '[^']*': .*",
        Diagnosis("the vLLM command cannot be run", "check FASTCONTEXT_VLLM"),
    ),
)
_SIGNALS = {137: "it was killed, by the system for memory or by somebody", 139: "it crashed"}


def diagnose(log: str, returncode: int | None) -> Diagnosis:
    """The likeliest cause. What the log says first in the list above counts most."""
    for pattern, diagnosis in _CAUSES:
        found = re.search(pattern, log, re.IGNORECASE)
        if found:
            said = " ".join(found.group(0).split())[:160]
            return Diagnosis(f"{diagnosis.problem} ({said})", diagnosis.hint, diagnosis.retry)
    hint = "`fastcontext engine logs` shows what it printed"
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
