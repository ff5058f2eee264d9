"""Token budgets from the server's counts."""

from hypothesis import given
from hypothesis import strategies as st

from explorer.limits import Budget, TokenLimits, Usage, fair_share

LIMITS = TokenLimits(context=10_000, answer=1_000, turn=4_000, result=2_000)


def test_counts_of_the_server_replace_the_estimate() -> None:
    budget = Budget(LIMITS)
    counted = budget.record(Usage(1_000, 800, 50, 1), sent_chars=2_000, written_chars=100)
    assert counted == Usage(1_000, 800, 50, 1)
    assert budget.tokens_of(200) == 100


def test_missing_counts_are_estimated_and_marked() -> None:
    budget = Budget(LIMITS)
    counted = budget.record(None, sent_chars=3_200, written_chars=32)
    assert counted == Usage(1_000, 0, 10, 1, estimated=True)
    assert budget.record(Usage(0, 0, 7), 3_200, 32).completion_tokens == 7


def test_observations_never_take_the_room_of_the_last_answer() -> None:
    budget = Budget(LIMITS)
    budget.record(Usage(6_000, 0, 100, 1), sent_chars=18_000, written_chars=300)
    room = budget.turn_chars(18_300)
    assert budget.tokens_of(room) <= 10_000 - 6_100 - 2 * 1_000
    assert not budget.must_answer(18_300)
    assert budget.must_answer(18_300 + room + 3_000)


def test_a_turn_and_a_result_have_bounds_of_their_own() -> None:
    budget = Budget(LIMITS)
    assert budget.tokens_of(budget.turn_chars(0)) <= LIMITS.turn
    assert budget.tokens_of(budget.result_chars()) <= LIMITS.result


def test_the_last_answer_is_shortened_to_fit_the_context() -> None:
    budget = Budget(LIMITS)
    budget.record(Usage(9_500, 0, 100, 1), sent_chars=20_000, written_chars=200)
    assert budget.answer_tokens(20_200) <= 400
    assert budget.answer_tokens(10**6) == 64


def test_a_full_context_leaves_no_room() -> None:
    budget = Budget(LIMITS)
    budget.record(Usage(20_000, 0, 0, 1), sent_chars=10, written_chars=0)
    assert budget.turn_chars(10) == 0
    assert budget.must_answer(10)


def test_usage_adds_up() -> None:
    budget = Budget(LIMITS)
    budget.record(Usage(10, 5, 1, 1), 10, 10)
    budget.record(Usage(20, 10, 2, 1), 20, 10)
    assert budget.usage == Usage(30, 15, 3, 2)


def test_what_short_results_leave_goes_to_the_long_ones() -> None:
    assert fair_share([100, 900, 900], 1_000) == 450
    assert fair_share([100, 200], 1_000) == 200
    assert fair_share([500, 500], 0) == 0
    assert fair_share([], 1_000) == 0


@given(st.lists(st.integers(0, 1_000), max_size=12), st.integers(0, 5_000))
def test_shares_fill_the_room_and_never_more(sizes: list[int], room: int) -> None:
    share = fair_share(sizes, room)
    total = sum(min(size, share) for size in sizes)
    assert total <= room
    assert total == sum(sizes) or room - total < len(sizes)
