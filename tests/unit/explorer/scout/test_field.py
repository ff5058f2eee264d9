"""The candidates' cells."""

import ctypes

import numpy as np
import pytest

from explorer.scout.field import weighed

_SIGNALLING_NAN = 0x7FA00001


class _Filled(ctypes.Structure):
    """An argument that is passed on the stack, and stays there after the call."""

    _fields_ = (("words", ctypes.c_uint32 * 16_384),)


@pytest.mark.parametrize("columns", [4, 5, 6])
def test_what_lies_on_the_stack_gives_no_warning_of_invalid_values(columns: int) -> None:
    numbers = np.random.default_rng(columns)
    shares = numbers.random((2_071, columns), np.float32)
    gains = numbers.random(columns, np.float32)
    filled = _Filled()
    filled.words[:] = [_SIGNALLING_NAN] * len(filled.words)
    # Without a prototype, a function is passed whatever is given, and takes what it knows.
    ctypes.CDLL(None).getpid(filled)
    with np.errstate(invalid="raise"):
        found = weighed(shares, gains)
    assert np.allclose(found, (shares.astype(np.float64) * gains).sum(axis=1), rtol=1e-5)
