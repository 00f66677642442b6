"""Paired comparisons: differences that are known, and noise in which none should be found."""

from dataclasses import replace

import numpy as np
import pytest

from pdegcnn_lib.companion.experiments.comparison import compare, grouped, interval, scores, seed_band

pytest.importorskip("scipy")


def records(**rows: np.ndarray) -> list[dict]:
    return [
        {"variant": name, "seed": seed, "metrics": {"dice_by_image": row.tolist()}}
        for name, seeds in rows.items()
        for seed, row in enumerate(np.atleast_2d(seeds))
    ]


def test_a_constant_difference_is_found_exactly():
    base = np.random.default_rng(1).uniform(0.6, 0.9, 8)
    found = compare(records(a=base + 0.02, b=base), "a", "b")
    assert found.difference == pytest.approx(0.02) and found.low == pytest.approx(0.02) == found.high
    assert (found.won, found.images) == (8, 8) and found.p_value == pytest.approx(2 / 2**8)
    back = compare(records(a=base + 0.02, b=base), "b", "a")
    assert back.difference == pytest.approx(-0.02) and back.won == 0 and back.p_value == found.p_value
    assert str(found).startswith("+2.00 [+2.00, +2.00] percent, ahead on 8 of 8 images")


def test_equal_networks_are_told_apart_as_rarely_as_promised():
    rng = np.random.default_rng(2)
    missed, significant = 0, 0
    for _ in range(200):
        found = compare(records(a=rng.normal(0.7, 0.05, 12), b=rng.normal(0.7, 0.05, 12)), "a", "b")
        missed += not found.low <= 0 <= found.high
        significant += found.p_value < 0.05
    # 5 percent of 200 is 10, with a deviation of 3.
    assert 1 <= significant <= 20 and 1 <= missed <= 20


@pytest.mark.parametrize(("over_seeds", "over_images"), [(0.05, 0.0), (0.0, 0.05), (0.05, 0.05)])
def test_the_interval_covers_what_other_seeds_and_other_images_would_give(over_seeds, over_images):
    rng = np.random.default_rng(3)
    seeds, images, missed = 10, 20, 0

    def variant(truth: float) -> np.ndarray:
        return truth + over_seeds * rng.normal(size=(seeds, 1)) + over_images * rng.normal(size=images)

    for _ in range(100):
        found = compare(records(a=variant(0.72), b=variant(0.7)), "a", "b")
        missed += not found.low <= 0.02 <= found.high
    # 5 of 100; fewer where the variance over images holds that of the seeds too.
    assert missed <= 11 and (missed >= 1 or over_seeds > 0)


@pytest.mark.parametrize("runs", [(1, 1), (1, 5), (2, 5), (3, 3)])
def test_few_runs_on_few_images_are_missed_as_rarely_as_promised(runs):
    """Eight photographs and seeds apart as on vessels; a network with few runs has the variance of the others."""
    rng = np.random.default_rng(5)

    def variant(count: int) -> np.ndarray:
        return 0.8 + 0.003 * rng.normal(size=(count, 1)) + 0.004 * rng.normal(size=8)

    missed = 0
    for _ in range(300):
        a, b, other = variant(runs[0]), variant(runs[1]), variant(5)
        found = compare(records(a=a, b=b, other=other), "a", "b")
        missed += not found.low <= 0 <= found.high
    assert 2 <= missed <= 27  # 15, with a deviation of 4


def test_a_network_with_one_run_borrows_the_spread_of_the_others():
    base = np.full(8, 0.8)
    other = base + np.array([[-0.01], [0.0], [0.01]])
    alone = compare(records(a=base + 0.02, b=base), "a", "b")
    assert alone.high - alone.low == pytest.approx(0, abs=1e-12)
    found = compare(records(a=base + 0.02, b=base, other=other), "a", "b")
    # Its variance is 2 * 0.01^2 with the two degrees of freedom of `other`.
    assert found.high - found.difference == pytest.approx(4.3027 * 2**0.5 * 0.01, rel=1e-4)
    # Three runs have a variance of their own, which the others do not touch.
    own = compare(
        records(a=other + 0.02, b=base + np.zeros((3, 1)), other=base + 9 * (other - base)), "a", "b"
    )
    assert own.high - own.difference == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)


def test_an_interval_has_the_freedom_of_welch_and_satterthwaite():
    # Two parts alike have the freedom of both together; one alone is Student's.
    assert interval(0.0, [(1.0, 4), (1.0, 4)])[1] == pytest.approx(2.3060 * 2**0.5, rel=1e-4)
    assert interval(1.0, [(1.0, 4), (0.0, 0)]) == pytest.approx((1 - 2.7764, 1 + 2.7764), rel=1e-4)
    assert interval(0.5, []) == (0.5, 0.5)


def test_images_that_belong_together_count_as_one():
    rng = np.random.default_rng(6)
    a, b = rng.normal(0.7, 0.05, (2, 4))
    pairs = compare(records(a=np.repeat(a, 2), b=np.repeat(b, 2)), "a", "b", together=2)
    assert replace(pairs, together=1) == compare(records(a=a, b=b), "a", "b") and pairs.images == 4
    assert f"ahead on {pairs.won} of 4 groups of 2 images" in str(pairs)
    with pytest.raises(ValueError, match="together must divide the 4 images, got 3"):
        compare(records(a=a, b=b), "a", "b", together=3)


def test_of_one_observation_nothing_is_known_of_others():
    one = compare(records(a=[0.8, 0.9], b=[0.7, 0.8]), "a", "b", together=2)
    assert (one.low, one.high) == (-np.inf, np.inf) and one.difference == pytest.approx(0.1)


def test_scores_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="a and b must be scored on the same images, got 4 and 1"):
        compare(records(a=[0.8] * 4, b=[0.7]), "a", "b")
    with pytest.raises(ValueError, match="the scores of b must be finite, got nan"):
        compare(records(a=[0.8, 0.9], b=[0.7, np.nan]), "a", "b")


def test_the_band_of_seeds_is_students():
    rows = np.array([[0.79], [0.80], [0.81]]) + np.zeros(8)
    assert seed_band(records(a=rows)) == pytest.approx(4.3027 * 2**0.5 * 0.01, rel=1e-4)


def test_the_interval_is_the_textbooks_where_there_are_many_images():
    a, b = np.random.default_rng(4).normal(0.7, 0.05, (2, 1000))
    found, difference = compare(records(a=a, b=b), "a", "b"), a - b
    half = 1.96 * difference.std() / 1000**0.5
    assert found.low == pytest.approx(difference.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.05 * half)


def test_seeds_are_averaged_before_images_are_paired():
    rows = np.array([[0.1, 0.5], [0.3, 0.7]])
    assert scores(records(a=rows), "a", "dice_by_image") == pytest.approx(rows)
    assert compare(records(a=rows, b=np.array([0.1, 0.7])), "a", "b").won == 1
    assert compare(records(a=rows, b=rows), "a", "b").p_value == 1.0
    with pytest.raises(ValueError, match="variant must have a run among the records, got 'c'"):
        compare(records(a=rows), "a", "c")


def test_records_are_grouped_in_the_order_in_which_they_come():
    groups = grouped(records(b=np.zeros((2, 1)), a=np.zeros((1, 1))))
    assert [(name, len(group)) for name, group in groups.items()] == [("b", 2), ("a", 1)]
