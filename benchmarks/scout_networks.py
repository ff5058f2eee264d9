"""Training of the scout's networks: back-propagation and AdamW, written out in numpy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.matches import Matches
from explorer.scout.networks import USUAL_MATCHES, Network, join, pool, scaled

Floats = NDArray[np.float32]
Parameters = dict[str, Floats]

_FIXED: Final = ("x_mean", "x_scale", "match_mean", "match_scale")
_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8
_WARM: Final = 0.2


@dataclass(frozen=True, slots=True)
class Group:
    """The candidates of one task, or the cells of its files."""

    table: Floats
    matches: Matches
    target: Floats
    """Each row's share of what is sought, or the share of its lines that is sought."""
    importance: float


@dataclass(frozen=True, slots=True)
class Training:
    """How a network is trained."""

    epochs: int
    rate: float
    decay: float
    drop: float
    batch: int
    hidden: int = 24
    sums: int = 12
    upper: int = 24


Loss = Callable[[Floats, Sequence[Group]], Floats]
"""From the scores of the rows of all groups to the slope of the loss at each."""


def listwise(scores: Floats, groups: Sequence[Group]) -> Floats:
    """Slopes of the cross-entropy between each group's targets and the softmax of its scores."""
    slopes = np.empty_like(scores)
    begin = 0
    for group in groups:
        end = begin + len(group.target)
        exponential = np.exp(scores[begin:end] - scores[begin:end].max())
        chance = exponential / exponential.sum()
        slopes[begin:end] = group.importance * (chance * group.target.sum() - group.target)
        begin = end
    return slopes / np.float32(len(groups))


def rowwise(scores: Floats, groups: Sequence[Group]) -> Floats:
    """Slopes of the cross-entropy between each row's target and the chance that it scores."""
    target = np.concatenate([group.target for group in groups])
    sizes = [len(group.target) for group in groups]
    weight = np.repeat(
        [
            group.importance * 10.0 / max(30, len(g.target))
            for group, g in zip(groups, groups, strict=True)
        ],
        sizes,
    )
    chance = 1.0 / (1.0 + np.exp(-np.clip(scores, -30, 30)))
    return np.asarray(weight * (chance - target) / len(groups), np.float32)


def train(
    groups: Sequence[Group], training: Training, loss: Loss, seed: int, bias: float = 0.0
) -> Network:
    """A network for the groups."""
    random = np.random.default_rng(seed)
    fixed = _standard(groups)
    parameters = _start(groups[0], training, random, bias)
    first = {name: np.zeros_like(value) for name, value in parameters.items()}
    second = {name: np.zeros_like(value) for name, value in parameters.items()}
    steps = training.epochs * -(-len(groups) // training.batch)
    step = 0
    for _ in range(training.epochs):
        order = random.permutation(len(groups))
        for begin in range(0, len(order), training.batch):
            chosen = [groups[index] for index in order[begin : begin + training.batch].tolist()]
            slopes = _slopes(parameters, fixed, chosen, training.drop, loss, random)
            step += 1
            rate = training.rate * _schedule(step / steps)
            for name, slope in slopes.items():
                first[name] = _BETA1 * first[name] + (1 - _BETA1) * slope
                second[name] = _BETA2 * second[name] + (1 - _BETA2) * slope * slope
                move = (first[name] / (1 - _BETA1**step)) / (
                    np.sqrt(second[name] / (1 - _BETA2**step)) + _TINY
                )
                parameters[name] = (
                    parameters[name] * np.float32(1 - rate * training.decay)
                    - np.float32(rate) * move
                ).astype(np.float32)
    return Network(**fixed, **parameters)


def arrays_of(name: str, networks: Sequence[Network]) -> dict[str, NDArray[np.float16]]:
    """The networks as ``networks_of`` reads them."""
    return {
        f"{name}.{number}.{field.name}": np.asarray(getattr(network, field.name), np.float16)
        for number, network in enumerate(networks)
        for field in fields(Network)
    }


def _schedule(done: float) -> float:
    """The share of the full rate: it rises in a straight line, then falls along a cosine."""
    if done < _WARM:
        return 0.04 + 0.96 * done / _WARM
    return float(0.5 * (1 + np.cos(np.pi * (done - _WARM) / (1 - _WARM))))


def _standard(groups: Sequence[Group]) -> Parameters:
    tables = np.concatenate([group.table for group in groups])
    values = np.concatenate([group.matches.values[::5] for group in groups]).astype(np.float32)
    return {
        "x_mean": tables.mean(axis=0, dtype=np.float64).astype(np.float16).astype(np.float32),
        "x_scale": (tables.std(axis=0, dtype=np.float64) + 1e-3)
        .astype(np.float16)
        .astype(np.float32),
        "match_mean": values.mean(axis=0, dtype=np.float64).astype(np.float32),
        "match_scale": (values.std(axis=0, dtype=np.float64) + 1e-3).astype(np.float32),
    }


def _start(
    group: Group, training: Training, random: np.random.Generator, bias: float
) -> Parameters:
    def layer(rows: int, columns: int) -> Floats:
        bound = 1 / np.sqrt(rows)
        return random.uniform(-bound, bound, (rows, columns)).astype(np.float32)

    upper = group.table.shape[1] + 2 * training.sums
    return {
        "a": layer(group.matches.values.shape[1], training.hidden),
        "a_bias": np.zeros(training.hidden, np.float32),
        "b": layer(training.hidden, training.sums),
        "b_bias": np.zeros(training.sums, np.float32),
        "straight": np.zeros(upper, np.float32),
        "c": layer(upper, training.upper),
        "c_bias": np.zeros(training.upper, np.float32),
        "d": np.zeros(training.upper, np.float32),
        "bias": np.full(1, bias, np.float32),
    }


def _slopes(
    p: Parameters,
    fixed: Parameters,
    groups: Sequence[Group],
    drop: float,
    loss: Loss,
    random: np.random.Generator,
) -> Parameters:
    """The slopes of all parameters for one batch."""
    values = np.concatenate([group.matches.values for group in groups]).astype(np.float32)
    values = scaled(values, fixed["match_mean"], fixed["match_scale"])
    raised = values @ p["a"] + p["a_bias"]
    hidden = np.maximum(raised, 0)
    each = hidden @ p["b"] + p["b_bias"]
    uppers, usual, owner, rows = [], [], [], 0
    at = 0
    for group in groups:
        size, count = len(group.matches.owner), len(group.table)
        x = scaled(group.table, fixed["x_mean"], fixed["x_scale"])
        pooled = pool(each[at : at + size], group.matches.owner, count)
        uppers.append(join(x, pooled, size))
        usual.append(np.full(count, USUAL_MATCHES / max(USUAL_MATCHES, size / max(1, count))))
        owner.append(group.matches.owner.astype(np.int64) + rows)
        at, rows = at + size, rows + count
    upper = np.concatenate(uppers)
    keep = _kept(upper.shape, drop, random)
    upper = upper * keep
    lifted = upper @ p["c"] + p["c_bias"]
    keep_inner = _kept(lifted.shape, drop, random)
    inner = np.maximum(lifted, 0) * keep_inner
    scores = upper @ p["straight"] + inner @ p["d"] + p["bias"]

    slope = loss(scores.astype(np.float32), groups)
    back_inner = np.outer(slope, p["d"]) * keep_inner * (lifted > 0)
    back_upper = (np.outer(slope, p["straight"]) + back_inner @ p["c"].T) * keep
    sums = p["b"].shape[1]
    back_pooled = back_upper[:, -2 * sums : -sums] / np.float32(USUAL_MATCHES)
    back_pooled += back_upper[:, -sums:] * np.concatenate(usual)[:, None]
    back_each = back_pooled[np.concatenate(owner)].astype(np.float32)
    back_hidden = (back_each @ p["b"].T) * (raised > 0)
    return {
        "a": values.T @ back_hidden,
        "a_bias": back_hidden.sum(axis=0),
        "b": hidden.T @ back_each,
        "b_bias": back_each.sum(axis=0),
        "straight": upper.T @ slope,
        "c": upper.T @ back_inner,
        "c_bias": back_inner.sum(axis=0),
        "d": inner.T @ slope,
        "bias": slope.sum(keepdims=True),
    }


def _kept(shape: tuple[int, ...], drop: float, random: np.random.Generator) -> Floats:
    kept = random.random(shape, np.float32) >= drop
    return np.asarray(kept / np.float32(1 - drop), np.float32)
