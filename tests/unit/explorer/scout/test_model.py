"""The shipped weights, against a sample of the features that they were trained on."""

from pathlib import Path

import numpy as np
import pytest

from explorer.scout.matches import Matches
from explorer.scout.networks import (
    calibration_features,
    choose_cells,
    file_chances,
    how_many_files,
    load_weights,
    parse_weights,
    score_all,
)

SAMPLE = Path(__file__).parents[3] / "data" / "scout_sample.npz"
FILE_F1, FIRST_RIGHT = 0.64, 0.70
"""What the weights reach on the sample, less a little."""


def sample():
    """Of each of 24 tasks: candidates' scores, which are right, how many files are sought."""
    with np.load(SAMPLE) as kept:
        ends, last = np.cumsum(kept["sizes"])[:-1], np.cumsum(kept["matches"])[:-1]
        tables = np.split(kept["files"].astype(np.float32), ends)
        owners = np.split(kept["owner"].astype(np.int32), last)
        values = np.split(kept["values"].astype(np.float32), last)
        rights = np.split(kept["right"], ends)
        sought = kept["sought"].tolist()
    networks = load_weights().files
    return [
        (score_all(networks, table, Matches(owner, value)).astype(np.float64), right, count)
        for table, owner, value, right, count in zip(
            tables, owners, values, rights, sought, strict=True
        )
    ]


def test_the_weights_reach_their_score_on_the_sample():
    calibration = load_weights().calibration
    scores, first = [], []
    for raw, right, sought in sample():
        chances = file_chances(calibration, raw)
        order = np.argsort(-chances, kind="stable")
        count = how_many_files(chances, 6)
        both = right[order[:count]].sum()
        scores.append(2 * both / (count + sought))
        first.append(right[order[0]])

    assert np.mean(scores) >= FILE_F1
    assert np.mean(first) >= FIRST_RIGHT


def test_what_is_found_with_high_confidence_is_right_nine_times_of_ten():
    weights = load_weights()
    right_first = []
    for raw, right, _ in sample():
        chances = file_chances(weights.calibration, raw)
        if chances.max() >= weights.high:
            right_first.append(bool(right[np.argmax(chances)]))

    assert len(right_first) >= 8
    assert np.mean(right_first) >= 0.9


def test_chances_lie_between_0_and_1_and_follow_the_scores():
    for raw, _, _ in sample():
        chances = file_chances(load_weights().calibration, raw)
        assert np.all((chances > 0) & (chances < 1))
        assert np.argmax(chances) == np.argmax(raw)


def test_a_single_candidate_has_a_chance():
    assert calibration_features(np.array([1.5])).shape == (1, 4)
    assert how_many_files(np.array([0.4]), 6) == 1


def test_one_sure_file_is_cited_alone_and_two_likely_ones_together():
    assert how_many_files(np.array([0.95, 0.05, 0.03]), 6) == 1
    assert how_many_files(np.array([0.7, 0.65, 0.02]), 6) == 2


def test_the_likely_cells_are_chosen_before_the_others():
    chosen = choose_cells(np.array([0.1, 0.8, 0.05, 0.7]), np.array([8, 8, 8, 8], np.int32))

    assert chosen[:2].tolist() == [1, 3]
    assert len(chosen) <= 3


def test_weights_of_another_format_are_refused():
    with pytest.raises(ValueError, match="format 99"):
        parse_weights({"format": 99}, {})
