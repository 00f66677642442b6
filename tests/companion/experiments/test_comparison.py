"""Paired comparisons: differences that are known, and noise in which none should be found."""

import numpy as np
import pytest

from pdegcnn_lib.companion.experiments.comparison import compare, grouped, scores

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
    # 5 percent of 200 is 10; a percentile interval of 12 images is a little short.
    assert significant <= 20 and missed <= 32


@pytest.mark.parametrize(("over_seeds", "over_images"), [(0.05, 0.0), (0.0, 0.05), (0.05, 0.05)])
def test_the_interval_covers_what_other_seeds_and_other_images_would_give(over_seeds, over_images):
    rng = np.random.default_rng(3)
    seeds, images, missed = 10, 20, 0

    def variant(truth: float) -> np.ndarray:
        return truth + over_seeds * rng.normal(size=(seeds, 1)) + over_images * rng.normal(size=images)

    for _ in range(100):
        found = compare(records(a=variant(0.72), b=variant(0.7)), "a", "b")
        missed += not found.low <= 0.02 <= found.high
    # 5 of 100, and somewhat more because seeds and images are few.
    assert 1 <= missed <= 18


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
