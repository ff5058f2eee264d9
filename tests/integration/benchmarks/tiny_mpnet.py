"""Keeps a small MPNet of transformers, and prints how far the teacher's network is from it.

Run by a test, in the environment that has PyTorch: ``tiny_mpnet VOCABULARY FOLDER``.
"""

import sys
from pathlib import Path

import torch
from transformers import MPNetConfig, MPNetModel

from benchmarks.reader.network import read_weights
from benchmarks.reader.teacher import from_mpnet
from explorer.reader.words import CLS, SEP

LENGTHS = (190, 70)
"""Farther apart than the last of the buckets of relative positions, and with padding."""


def main(vocabulary: Path, folder: Path) -> None:
    """Write ``model.safetensors`` and ``vocab.txt``; print the largest difference."""
    names = {"[PAD]": "<pad>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}
    ours = [names.get(each, each) for each in vocabulary.read_text().splitlines()]
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    theirs = first + sorted(set(ours) - set(first))
    sizes = {"hidden_size": 48, "intermediate_size": 192}
    config = MPNetConfig(
        vocab_size=len(theirs), num_hidden_layers=2, num_attention_heads=4, **sizes
    )
    torch.manual_seed(1)
    model = MPNetModel(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    folder.mkdir()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(theirs) + "\n")
    teacher = from_mpnet(
        read_weights(folder / "model.safetensors"), vocabulary, folder / "vocab.txt"
    )
    ids = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.long)
    for row, length in zip(ids, LENGTHS, strict=True):
        row[:length] = torch.randint(SEP + 1, len(ours), (length,))
        row[0], row[length - 1] = CLS, SEP
    mask = (ids != 0).long()
    at = {piece: number for number, piece in enumerate(theirs)}
    same = torch.tensor([[at[ours[number]] for number in row] for row in ids.tolist()])
    with torch.no_grad():
        wanted = model(same, attention_mask=mask).pooler_output
        difference = (teacher.pooled(ids, mask) - wanted).abs().max().item()
        sys.stdout.write(f"{difference} {wanted.std().item()}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
