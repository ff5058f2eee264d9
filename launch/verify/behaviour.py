"""What the quantized model answers, compared with the BF16 model. Needs torch and transformers.

The checkpoint's weights are unpacked into the source's own model and used as weight-only kernels
(Marlin) use them, then with activations rounded too, as FP4 kernels on Blackwell do. So only one
model is in memory at a time, and no GPU is needed.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.errors import CheckpointError
from launch.nvfp4 import GROUP, rounded
from launch.verify.configuration import excluded_modules
from launch.verify.layout import LinearShape, is_excluded, shape_of
from launch.verify.packing import scalar
from launch.verify.probes import Conversation, Probes, calls_in, held_out_texts, make_probes
from launch.verify.tensors import Tensor, read_json, read_tensors, unpack
from launch.verify.verdicts import Verdict

MOST_DIVERGENCE = 0.25
"""In nats for each token, on average."""
LEAST_AGREEMENT = 0.80
"""Share of tokens, and of turns. Beyond these limits something is broken; a good checkpoint stays
far from them, and the figures themselves say how good it is."""
NEW_TOKENS = 512
NEEDS = "needs torch and transformers: pip install 'fastcontext-mcp[quantize]'"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How similar two models are on the same tokens."""

    tokens: int
    divergence: float
    """Mean of KL(BF16 || quantized), in nats."""
    top1: float
    """Share of positions at which both have the same likeliest token."""


def check_behaviour(
    folder: Path,
    source: Path,
    *,
    conversations: Sequence[Conversation] = (),
    device: str = "auto",
    progress: Progress = lambda *_: None,
) -> list[Verdict]:
    """Checks of logits and, where there are conversations, of tool calls.

    A skipped check says what is missing. The texts are sources of Python's library.
    """
    names = ("logits, weights packed", "logits, activations too", "tool calls")
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        return [Verdict(name, "skipped", NEEDS) for name in names]
    try:
        tensors = read_tensors(folder)
        linears = _packed(folder)
        tokenizer = AutoTokenizer.from_pretrained(str(source))
        probes = make_probes(tokenizer, held_out_texts(), conversations)
        place = _place(torch, device)
        model = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.bfloat16)
        model = model.to(place).eval()
    except (CheckpointError, OSError, ValueError) as error:
        return [
            Verdict(name, "failed", f"the models cannot be compared: {error}") for name in names
        ]
    judge = _Judge(torch, model, tokenizer, probes, place, progress)
    with torch.no_grad():
        return judge.compare(tensors, linears, names)


@dataclass(slots=True)
class _Judge:
    """A model that holds the source's weights first, then the quantized ones."""

    torch: Any
    model: Any
    tokenizer: Any
    probes: Probes
    device: str
    progress: Progress
    done: int = 0

    def compare(
        self, tensors: dict[str, Tensor], linears: list[LinearShape], names: Sequence[str]
    ) -> list[Verdict]:
        """The three checks."""
        original = self.read_texts()
        calls = self.answer_turns()
        self.load(tensors, linears)
        packed = self.against(original)
        with self.rounding(tensors, linears):
            both = self.against(original)
            # Calls are compared as the GPUs compute for which the checkpoint is made.
            got = self.answer_turns()
        checks = [_logits(names[0], packed), _logits(names[1], both)]
        return [*checks, _turns(names[2], calls, got)]

    def step(self) -> None:
        self.done += 1
        total = 3 * len(self.probes.texts) + 2 * len(self.probes.turns)
        self.progress("behaviour", self.done, total)

    def read_texts(self) -> list[Any]:
        """Log probabilities [tokens, vocabulary] for each text, in the host's memory."""
        return [self.log_probabilities(ids).cpu() for ids in self.probes.texts]

    def log_probabilities(self, ids: Sequence[int]) -> Any:
        given = self.torch.tensor([list(ids)], device=self.device)
        logits = self.model(input_ids=given, use_cache=False).logits[0]
        self.step()
        return self.torch.log_softmax(logits.float(), dim=-1)

    def against(self, original: list[Any]) -> Agreement:
        """How the model as it is now agrees with the source."""
        tokens, divergence, same = 0, 0.0, 0
        for ids, kept in zip(self.probes.texts, original, strict=True):
            wanted, got = kept.to(self.device), self.log_probabilities(ids)
            divergence += float((wanted.exp() * (wanted - got)).sum())
            same += int((wanted.argmax(-1) == got.argmax(-1)).sum())
            tokens += len(ids)
        return Agreement(tokens, divergence / tokens, same / tokens)

    def answer_turns(self) -> list[tuple[str, ...]]:
        """The tool calls that greedy decoding makes in each turn."""
        made = []
        for ids in self.probes.turns:
            given = self.torch.tensor([list(ids)], device=self.device)
            output = self.model.generate(
                given,
                attention_mask=self.torch.ones_like(given),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
            )
            text = self.tokenizer.decode(output[0][len(ids) :], skip_special_tokens=False)
            made.append(calls_in(text))
            self.step()
        return made

    def load(self, tensors: dict[str, Tensor], linears: list[LinearShape]) -> None:
        """Replace the model's linear weights by those of the checkpoint, unpacked."""
        for linear in linears:
            values = unpack(
                tensors[f"{linear.name}.weight"].rows(),
                tensors[f"{linear.name}.weight_scale"].rows(),
                scalar(tensors[f"{linear.name}.weight_scale_2"]),
                GROUP,
            )
            weight = self.model.get_submodule(linear.name).weight
            weight.data.copy_(self.torch.from_numpy(values).to(weight.dtype))

    @contextlib.contextmanager
    def rounding(self, tensors: dict[str, Tensor], linears: list[LinearShape]) -> Iterator[None]:
        """Round the inputs of linear layers to FP4 while this is open."""
        hooks = []
        for linear in linears:
            scale = self.torch.tensor(
                scalar(tensors[f"{linear.name}.input_scale"]), device=self.device
            )

            def before(_: Any, inputs: tuple[Any, ...], scale: Any = scale) -> tuple[Any, ...]:
                return (rounded(self.torch, inputs[0], scale), *inputs[1:])

            module = self.model.get_submodule(linear.name)
            hooks.append(module.register_forward_pre_hook(before))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _logits(name: str, found: Agreement) -> Verdict:
    good = found.divergence <= MOST_DIVERGENCE and found.top1 >= LEAST_AGREEMENT
    detail = (
        f"KL divergence {found.divergence:.4f} nats for each token, the same likeliest token "
        f"for {found.top1:.1%} of {found.tokens}"
    )
    figures = {"kl_nats": found.divergence, "top1": found.top1, "tokens": found.tokens}
    return Verdict(name, "passed" if good else "failed", detail, figures)


def _turns(name: str, wanted: list[tuple[str, ...]], got: list[tuple[str, ...]]) -> Verdict:
    pairs = [pair for pair in zip(wanted, got, strict=True) if any(pair)]
    if not pairs:
        return Verdict(name, "skipped", "needs recorded explorations: --recordings DIR_OR_FILE")
    same = sum(1 for left, right in pairs if left == right)
    share = same / len(pairs)
    detail = f"the same calls in {same} of {len(pairs)} turns, decoded greedily"
    good = share >= LEAST_AGREEMENT
    figures = {"turns": len(pairs), "same": same}
    return Verdict(name, "passed" if good else "failed", detail, figures)


def _packed(folder: Path) -> list[LinearShape]:
    excluded = excluded_modules(folder)
    linears = shape_of(read_json(folder / "config.json")).linears()
    return [each for each in linears if not is_excluded(each.name, excluded)]


def _place(torch: Any, wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"
