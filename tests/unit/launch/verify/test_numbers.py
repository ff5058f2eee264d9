import numpy as np
import pytest

from launch.errors import CheckpointError
from launch.verify.tensors import E4M3, floats, unpack
from tests.checkpoints import bf16, pack


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0x00, 0.0),
        (0x01, 2.0**-9),
        (0x07, 7 * 2.0**-9),
        (0x08, 2.0**-6),
        (0x38, 1.0),
        (0x7E, 448.0),
        (0xB8, -1.0),
    ],
)
def test_e4m3_codes_stand_for_the_values_of_the_format(code: int, value: float) -> None:
    assert E4M3[code] == value


def test_e4m3_has_nan_at_two_codes_and_no_infinity() -> None:
    assert np.flatnonzero(np.isnan(E4M3)).tolist() == [0x7F, 0xFF]
    assert not np.isinf(E4M3).any()


def test_bf16_is_the_upper_half_of_float32() -> None:
    values = np.array([[1.0, -2.5, 3.0e38, 2.0**-130]], np.float32)
    got = floats(bf16(values).view(np.uint8), "BF16")
    np.testing.assert_allclose(got, values, rtol=2**-7)


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="I64"):
        floats(np.zeros((1, 8), np.uint8), "I64")


def test_the_low_half_of_a_byte_is_the_first_element() -> None:
    packed = np.zeros((1, 8), np.uint8)
    packed[0, 0] = 0x2 | 0xF << 4
    scale = np.full((1, 1), 0x38, np.uint8)
    got = unpack(packed, scale, 0.5)
    assert got[0, :3].tolist() == [0.5, -3.0, 0.0]


def test_unpacking_gives_back_what_four_bits_can_hold() -> None:
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
    matrix = np.stack([levels, levels * 4]) * 0.25
    weight, scale = pack(matrix, 0.25)
    np.testing.assert_array_equal(unpack(weight, scale, 0.25), matrix)
