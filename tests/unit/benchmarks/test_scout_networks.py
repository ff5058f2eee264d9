"""The scout's networks: what they compute, and that training finds what it should."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scout_networks import (
    Group,
    Training,
    _slopes,
    _standard,
    _start,
    arrays_of,
    listwise,
    rowwise,
    train,
)
from explorer.scout.matches import Matches
from explorer.scout.networks import CLIP, join, networks_of, pool, scaled, score_all

PLAN = Training(epochs=30, rate=1e-2, decay=1e-2, drop=0.0, batch=8, hidden=6, sums=3, upper=5)


def group(seed, rows=6):
    """A task whose right row is the one with an occurrence that is both rare and a name."""
    random = np.random.default_rng(seed)
    owner = np.sort(random.integers(0, rows, 18)).astype(np.int32)
    values = random.integers(0, 2, (18, 3)).astype(np.float32)
    values[:, 1] *= 1 - values[:, 0]
    right = int(random.choice(owner))
    values[np.flatnonzero(owner == right)[0], :2] = 1
    target = np.zeros(rows, np.float32)
    target[right] = 1
    table = random.normal(size=(rows, 2)).astype(np.float32)
    return Group(table, Matches(owner, values), target, 1.0)


def test_pooling_adds_up_the_rows_of_each_owner():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)

    pooled = pool(values, np.array([0, 0, 3]), 5)

    assert pooled.tolist() == [[4, 6], [0, 0], [0, 0], [5, 6], [0, 0]]
    assert pool(values[:0], np.zeros(0, np.int32), 2).tolist() == [[0, 0], [0, 0]]


def test_many_occurrences_count_less_each():
    x, pooled = np.ones((2, 1), np.float32), np.full((2, 1), 8.0, np.float32)

    assert join(x, pooled, 4)[0].tolist() == [1, 2, 8]
    assert join(x, pooled, 32)[0].tolist() == [1, 2, 2]


def test_inputs_far_from_the_usual_are_held_back():
    values, one = np.array([1e9, -1e9, 5.0], np.float32), np.ones(1, np.float32)
    assert scaled(values, one, 2 * one).tolist() == [CLIP, -CLIP, 2.0]


@pytest.mark.parametrize("loss", [listwise, rowwise])
@pytest.mark.parametrize("name", ["a", "a_bias", "b", "b_bias", "straight", "c", "c_bias", "d"])
def test_slopes_are_those_of_the_loss(loss, name):
    groups = [group(1), group(2, rows=4)]
    random = np.random.default_rng(0)
    fixed = _standard(groups)
    start = _start(groups[0], PLAN, random, 0.1)
    parameters = {
        key: value + random.normal(0, 0.3, value.shape).astype(np.float32)
        for key, value in start.items()
    }

    def scores(moved):
        networks = networks_of({f"n.0.{key}": value for key, value in (fixed | moved).items()}, "n")
        return [score_all(networks, each.table, each.matches) for each in groups]

    def total(moved):
        result = 0.0
        for each, score in zip(groups, scores(moved), strict=True):
            score = score.astype(np.float64)
            if loss is listwise:
                chance = np.exp(score) / np.exp(score).sum()
                result -= (each.target * np.log(chance)).sum() / len(groups)
            else:
                chance = 1 / (1 + np.exp(-score))
                parts = each.target * np.log(chance) + (1 - each.target) * np.log(1 - chance)
                result -= parts.sum() * 10 / 30 / len(groups)
        return result

    slopes = _slopes(parameters, fixed, groups, 0.0, loss, random)[name]
    direction = random.normal(size=slopes.shape).astype(np.float32)
    step = np.float32(2e-3)
    up = total(parameters | {name: parameters[name] + step * direction})
    down = total(parameters | {name: parameters[name] - step * direction})

    assert (up - down) / (2 * step) == pytest.approx(float((slopes * direction).sum()), abs=4e-3)


def test_training_finds_what_makes_a_row_right():
    groups = [group(seed) for seed in range(80)]

    network = train(groups, PLAN, listwise, seed=3)

    def first_right(each):
        return each.target[np.argmax(network.score(each.table, each.matches))]

    assert np.mean([first_right(group(seed)) for seed in range(100, 160)]) >= 0.9


def test_training_gives_the_same_network_again():
    groups = [group(seed) for seed in range(10)]
    training = replace(PLAN, epochs=2, drop=0.3)

    first, second = (train(groups, training, rowwise, seed=1, bias=-1.0) for _ in range(2))

    assert np.array_equal(first.c, second.c)
    assert not np.array_equal(first.c, train(groups, training, rowwise, seed=2, bias=-1.0).c)


def test_networks_are_read_as_they_were_kept():
    groups = [group(seed) for seed in range(10)]
    network = train(groups, replace(PLAN, epochs=2), listwise, seed=1)
    (kept,) = networks_of(arrays_of("files", [network]), "files")

    each = groups[0]
    before, after = (n.score(each.table, each.matches) for n in (network, kept))
    assert after == pytest.approx(before, abs=0.02)


def test_missing_networks_are_an_error():
    with pytest.raises(KeyError, match="cells"):
        networks_of({"files.0.a": np.zeros(1, np.float16)}, "cells")
