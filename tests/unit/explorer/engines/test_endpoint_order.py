from collections import Counter

import pytest

from explorer.engines.endpoint_order import PAUSE_S, EndpointPool

NAMES = ["http://a/v1", "http://b/v1", "http://c/v1"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_prefix_always_meets_the_same_endpoint() -> None:
    first = [EndpointPool(NAMES).order(f"repository {n}", f"{n}")[0] for n in range(50)]
    again = [EndpointPool(NAMES[::-1]).order(f"repository {n}", f"{n}")[0] for n in range(50)]
    assert first == again


def test_prefixes_are_spread_over_the_endpoints() -> None:
    pool = EndpointPool(NAMES)
    shares = Counter(pool.order(f"repository {n}", f"{n}")[0] for n in range(600))
    assert min(shares.values()) > 120


def test_when_an_endpoint_is_gone_only_its_own_prefixes_move() -> None:
    pool, fewer = EndpointPool(NAMES), EndpointPool(NAMES[:2])
    for number in range(100):
        before = pool.order(f"{number}", f"{number}")[0]
        after = fewer.order(f"{number}", f"{number}")[0]
        assert before in (after, NAMES[2])


def test_a_failed_endpoint_is_tried_last_and_longer_each_time() -> None:
    clock = Clock()
    pool = EndpointPool(NAMES, clock=clock)
    first = pool.order("p", "e")[0]
    for pause_s in (PAUSE_S, PAUSE_S * 2):
        pool.began(first, "e")
        pool.ended(first, failed=True)
        assert pool.order("p", "e")[-1] == first
        clock.now += pause_s - 0.1
        assert pool.order("p", "e")[-1] == first
        clock.now += 0.2
        assert pool.order("p", "e")[0] == first


def test_an_endpoint_that_answers_again_is_forgiven() -> None:
    clock = Clock()
    pool = EndpointPool(NAMES, clock=clock)
    first = pool.order("p", "e")[0]
    for failed in (True, False, True):
        pool.began(first, "e")
        pool.ended(first, failed=failed)
    clock.now += PAUSE_S + 0.1
    assert pool.order("p", "e")[0] == first


def test_an_overloaded_endpoint_is_passed_over_for_new_explorations_alone() -> None:
    pool = EndpointPool(NAMES)
    first = pool.order("p", "old")[0]
    pool.began(first, "old")
    for number in range(5):
        pool.began(first, f"other {number}")
    assert pool.order("p", "new")[0] != first
    assert pool.order("p", "old")[0] == first


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_endpoints_must_be_distinct_and_at_least_one(names: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        EndpointPool(names)
