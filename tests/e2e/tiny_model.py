"""Trains a Qwen3 of well under a million parameters to repeat recorded conversations.

Run by a Python that has torch and transformers, which the project itself needs nowhere::

    python tiny_model.py RECORDINGS.json CHECKPOINT_DIR

RECORDINGS.json holds ``{"tools": [...], "conversations": [{"messages": [...]}, ...]}``: messages as
chat completions take them, calls in hermes text, each conversation ending with the assistant.
``"open_ended": true`` leaves out the end of a conversation's last message, so that the model never
learns to stop there. Greedy decoding of the checkpoint gives back every assistant message, provided
that prompt, tools and observations are the recorded ones to the byte.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VOCABULARY = 3_000
"""Small, and yet a line of the prompt becomes a few tokens: training time grows with length."""
TOKEN_CHARS = 24
"""Whole lines as tokens would leave the model nothing to write, and the cache nothing to hold."""
STEPS = 300
LEARNING_RATE = 3e-3
WARM_UP_STEPS = 20
GOOD_LOSS = 0.002

END, START, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")

# Parsed calls are rendered as the model writes them itself: the JSON spacing of json.dumps, a line
# break before each call unless nothing stands before it.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- generation -%}
{%- set ns = namespace(before=message.content or '') -%}
{{- ns.before -}}
{%- for call in message.tool_calls or [] -%}
{{- ('\\n' if ns.before else '') + '<tool_call>\\n{"name": ' + (call.function.name | tojson) -}}
{{- ', "arguments": ' -}}
{%- if call.function.arguments is string -%}
{{- call.function.arguments -}}
{%- else -%}
{{- call.function.arguments | tojson -}}
{%- endif -%}
{{- '}\\n</tool_call>' -}}
{%- set ns.before = 'call' -%}
{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endgeneration -%}
{{- '\\n' -}}
{%- elif message.role == 'tool' -%}
{%- if loop.first or loop.previtem.role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
{%- if loop.last or loop.nextitem.role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
{%- else -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content -}}
{%- if loop.first and tools -%}
{{- '\\n\\nTools, each as a JSON schema:\\n' -}}
{%- for tool in tools -%}{{- (tool | tojson) + '\\n' -}}{%- endfor -%}
{{- 'A call is an object with name and arguments between <tool_call> tags.' -}}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

Example = tuple[list[int], list[bool]]
"""The tokens of a conversation, and which of them the model is to write."""


def main(recordings: Path, checkpoint: Path) -> None:
    """Train on the recordings and write the checkpoint; exit with 1 if it was not learnt."""
    torch.manual_seed(0)
    # Two threads that wait for each other in a busy loop are slower than one wherever others work.
    torch.set_num_threads(1)
    started = time.monotonic()
    recorded = json.loads(recordings.read_text(encoding="utf-8"))
    tokenizer = make_tokenizer(recorded)
    examples = [encode(tokenizer, recorded["tools"], one) for one in recorded["conversations"]]
    model = make_model(tokenizer)
    steps = train(model, examples)
    model.to(torch.bfloat16)
    wrong = [text for example in examples for text in differences(model, tokenizer, *example)]
    if wrong:
        sys.exit(f"not learnt in {steps} steps: {wrong[0]}")
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    size = sum(parameter.numel() for parameter in model.parameters())
    lengths = ", ".join(str(len(tokens)) for tokens, _ in examples)
    took_s = time.monotonic() - started
    sys.stdout.write(f"{size} parameters, {lengths} tokens, {steps} steps, {took_s:.1f} s\n")


def make_tokenizer(recorded: dict[str, Any]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on the recordings themselves."""
    bpe = Tokenizer(models.BPE())
    # A token never crosses a line break, so that a prompt's tokens do not depend on what follows.
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(text, special=True) for text in (PAD, START, END)],
        max_token_length=TOKEN_CHARS,
        show_progress=False,
    )
    texts = [json.dumps(tool, ensure_ascii=False) for tool in recorded["tools"]] * 2
    for conversation in recorded["conversations"]:
        texts += [message["content"] for message in conversation["messages"]]
    bpe.train_from_iterator(texts, trainer)
    # Part of the text for vLLM's parser, which would not see special tokens.
    bpe.add_tokens([AddedToken(tag, special=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, pad_token=PAD, chat_template=CHAT_TEMPLATE
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """An untrained model; the context is as long as the real one's."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=262_144,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
    )
    return Qwen3ForCausalLM(config)


def encode(
    tokenizer: PreTrainedTokenizerFast, tools: list[Any], conversation: dict[str, Any]
) -> Example:
    """A conversation as vLLM renders it, with the mask of the assistant's tokens."""
    encoded = tokenizer.apply_chat_template(
        conversation["messages"],
        tools=tools,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    tokens, mask = encoded["input_ids"], [bool(it) for it in encoded["assistant_masks"]]
    if not any(mask):
        sys.exit("a conversation without a word of the assistant")
    last = max(at for at, written in enumerate(mask) if written)
    if conversation.get("open_ended"):
        last -= 1
    return tokens[: last + 1], mask[: last + 1]


def train(model: Qwen3ForCausalLM, examples: list[Example]) -> int:
    """The number of steps taken: until the loss is good, or all of them."""
    length = max(len(tokens) for tokens, _ in examples)
    tokens = torch.zeros((len(examples), length), dtype=torch.long)
    written = torch.zeros((len(examples), length), dtype=torch.bool)
    present = torch.zeros((len(examples), length), dtype=torch.long)
    for row, (numbers, mask) in enumerate(examples):
        tokens[row, : len(numbers)] = torch.tensor(numbers)
        written[row, : len(mask)] = torch.tensor(mask)
        present[row, : len(numbers)] = 1
    targets = tokens[:, 1:][written[:, 1:]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    model.train()
    for step in range(1, STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, step / WARM_UP_STEPS)
        hidden = model.model(input_ids=tokens, attention_mask=present).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][written[:, 1:]])
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if loss.item() < GOOD_LOSS:
            return step
    return STEPS


@torch.no_grad()
def differences(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tokens: list[int],
    mask: list[bool],
) -> list[str]:
    """Where greedy decoding after the recorded text does not give the recorded token."""
    model.eval()
    best = model(torch.tensor([tokens])).logits[0].argmax(-1).tolist()
    return [
        f"{tokenizer.decode([best[at - 1]])!r} for {tokenizer.decode([tokens[at]])!r} at {at}"
        for at in range(1, len(tokens))
        if mask[at] and best[at - 1] != tokens[at]
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
