import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.qmgr.concurrency import Feedback, TransportParameters, Window, parse_feedback

FEEDBACKS = st.builds(Feedback, st.floats(0, 1), st.sampled_from(["", "concurrency", "sqrt_concurrency"]))
PER_WINDOW = Feedback(1, "concurrency")


def succeed(window: Window, parameters: TransportParameters, times: int, busy: int = 100) -> list[int]:
    sizes = []
    for _ in range(times):
        window.busy = busy
        window.succeeded(parameters)
        sizes.append(window.size)
    return sizes


@pytest.mark.parametrize(
    ("text", "feedback"),
    [
        ("1", Feedback(1)),
        (" 0.25 ", Feedback(0.25)),
        ("1/4", Feedback(0.25)),
        ("0", Feedback(0)),
        ("1/concurrency", Feedback(1, "concurrency")),
        ("0.5 / sqrt_concurrency", Feedback(0.5, "sqrt_concurrency")),
    ],
)
def test_feedback_is_read(text: str, feedback: Feedback) -> None:
    assert parse_feedback(text) == feedback


@pytest.mark.parametrize(
    "text", ["", "x", "2", "-1", "1/", "1/0", "1/x", "nan", "1/nan", "3/2", "2/concurrency", "1/-1"]
)
def test_bad_feedback(text: str) -> None:
    with pytest.raises(ValueError):
        parse_feedback(text)


def test_feedback_falls_with_the_window() -> None:
    assert Feedback(1).at(16) == 1
    assert Feedback(1, "concurrency").at(16) == 1 / 16
    assert Feedback(1, "sqrt_concurrency").at(16) == 1 / 4


def test_the_window_grows_by_one_per_success_to_its_limit() -> None:
    parameters = TransportParameters(concurrency_limit=8, initial_concurrency=5)
    assert succeed(Window(parameters), parameters, 5) == [6, 7, 8, 8, 8]


def test_without_a_limit_it_goes_on_growing() -> None:
    parameters = TransportParameters(concurrency_limit=0)
    assert succeed(Window(parameters), parameters, 90)[-1] == 95


def test_growth_comes_at_the_end_of_a_pseudo_cohort() -> None:
    parameters = TransportParameters(initial_concurrency=3, positive_feedback=PER_WINDOW)
    assert succeed(Window(parameters), parameters, 7) == [3, 3, 4, 4, 4, 4, 5]


def test_growth_stays_near_what_is_in_use() -> None:
    parameters = TransportParameters(initial_concurrency=5)
    # SCHEDULER_README, "Safety": no growth unless concurrency < busy + initial concurrency.
    assert succeed(Window(parameters), parameters, 5, busy=2) == [6, 7, 7, 7, 7]


def test_shrinking_comes_at_the_beginning_of_a_pseudo_cohort() -> None:
    parameters = TransportParameters(initial_concurrency=4, negative_feedback=Feedback(0.5), failed_cohort_limit=0)
    window = Window(parameters)
    sizes = []
    for _ in range(9):
        assert not window.failed(parameters)
        sizes.append(window.size)
    # As a real Postfix 3.7 logs it; it rounds half a step up.
    assert sizes == [3, 2, 2, 1, 1, 1, 1, 1, 1]


def test_a_failed_pseudo_cohort_is_the_end() -> None:
    parameters = TransportParameters(initial_concurrency=5, negative_feedback=Feedback(0))
    window = Window(parameters)
    assert [window.failed(parameters) for _ in range(6)] == [False, False, False, False, True, False]
    assert window.size == 0


def test_with_the_defaults_three_failures_are_the_end() -> None:
    parameters = TransportParameters()
    window = Window(parameters)
    # 1/5 + 1/3 + 1/2 > 1; the windows are those of a real Postfix 3.7.
    assert [(window.failed(parameters), window.size) for _ in range(3)] == [(False, 3), (False, 2), (True, 0)]


@pytest.mark.parametrize(
    ("feedback", "sizes"),
    [
        # README: with feedback 1 a pseudo-cohort doubles the window (5-10-20), with 1/N it adds one (5-6-7).
        (Feedback(1), [5, 10, 20, 20, 20]),
        (PER_WINDOW, [5, 6, 7, 8, 9]),
    ],
)
def test_growth_from_pseudo_cohort_to_pseudo_cohort(feedback: Feedback, sizes: list[int]) -> None:
    parameters = TransportParameters(positive_feedback=feedback)
    window = Window(parameters)
    curve = []
    for _ in sizes:
        curve.append(window.size)
        for _ in range(window.size):
            window.busy = window.size
            window.succeeded(parameters)
    assert curve == sizes


def test_a_success_between_starts_the_count_anew() -> None:
    parameters = TransportParameters(initial_concurrency=2, concurrency_limit=2, negative_feedback=Feedback(0))
    window = Window(parameters)
    for _ in range(10):
        assert not window.failed(parameters)
        window.succeeded(parameters)
    assert not window.failed(parameters)
    assert window.failed(parameters)


def test_a_dead_destination_that_answers_after_all_is_alive() -> None:
    parameters = TransportParameters(initial_concurrency=2)
    window = Window(parameters)
    window.busy = 3
    while not window.failed(parameters):
        pass
    window.succeeded(parameters)
    assert window.size == 3
    window.busy, window.size = 0, 0
    window.revive(parameters)
    assert window.size == 2


def test_no_limit_of_failed_cohorts() -> None:
    parameters = TransportParameters(failed_cohort_limit=0)
    window = Window(parameters)
    assert not any(window.failed(parameters) for _ in range(100))


def test_the_initial_window_is_within_the_limit_and_a_rate_delay_makes_it_one() -> None:
    assert Window(TransportParameters(concurrency_limit=2)).size == 2
    assert Window(TransportParameters(concurrency_limit=0)).size == 5
    assert Window(TransportParameters(rate_delay=1)).size == 1


@given(FEEDBACKS, FEEDBACKS, st.integers(0, 30), st.integers(1, 10), st.integers(0, 3), st.lists(st.booleans()))
def test_the_window_stays_within_its_bounds(
    positive: Feedback, negative: Feedback, limit: int, initial: int, cohorts: int, outcomes: list[bool]
) -> None:
    parameters = TransportParameters(
        concurrency_limit=limit,
        initial_concurrency=initial,
        positive_feedback=positive,
        negative_feedback=negative,
        failed_cohort_limit=cohorts,
    )
    window = Window(parameters)
    window.busy = 1
    for success in outcomes:
        if success:
            window.succeeded(parameters)
            assert window.size >= 1
        else:
            dead = window.failed(parameters)
            assert (window.size == 0) or not dead
            assert cohorts or window.size
        assert window.size <= (limit or math.inf)
