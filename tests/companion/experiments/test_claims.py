"""Claims are about networks that are in the experiments, and verdicts follow the intervals."""

from dataclasses import replace

import pytest

from pdegcnn_lib.companion import experiments
from pdegcnn_lib.companion.experiments import claims
from pdegcnn_lib.companion.experiments.claims import CLAIMS, Claim, judge

pytest.importorskip("scipy")

CLAIM = Claim("a task", "lines", "ours", "rival")


def run(variant: str, seed: int, parameters: int = 10, protocol: str = "", **metrics) -> dict:
    data = {"protocol": protocol} if protocol else {}
    return {"variant": variant, "seed": seed, "parameters": parameters, "data": data, "metrics": metrics}


def test_every_claim_is_about_variants_of_its_experiment():
    assert len(set(CLAIMS)) == len(CLAIMS)
    for claim in CLAIMS:
        labels = experiments.experiment(claim.experiment).labels
        assert claim.ours in labels and claim.rival in labels and "pdegcnn" in claim.ours


@pytest.mark.parametrize(
    ("shift", "word"),
    [((0.02, 0.022, 0.018), "holds"), ((-0.02, -0.022, -0.018), "fails"), ((-0.1, 0.1, 0), "level")],
)
def test_a_verdict_is_where_the_interval_lies(shift, word):
    rival = [0.5, 0.6, 0.7]
    ours = [score + by for score, by in zip(rival, shift, strict=True)]
    found = judge(
        CLAIM,
        [
            run("ours", 0, dice_by_image=ours),
            run("rival", 0, 100, dice_by_image=rival),
            run("rival", 1, 100, dice_by_image=rival),
            run("other", 0, dice_by_image=[0, 0, 0]),
        ],
    )
    assert found.word == word and found.difference == pytest.approx(sum(shift) / 3)
    assert found.parameters == (10, 100) and found.runs == (1, 2)


def test_accuracies_have_the_interval_of_two_proportions():
    found = judge(CLAIM, [run("ours", 0, accuracy=0.92), run("rival", 0, accuracy=0.9)])
    assert found.difference == pytest.approx(0.02) and found.word == "holds"
    # The deviations of the two proportions of 10 000 are 0.0027 and 0.003.
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.0027**2 + 0.003**2) ** 0.5, rel=0.01)
    five_times = [
        run(name, 0, accuracy=score, protocol="12000/50000")
        for name, score in (("ours", 0.92), ("rival", 0.9))
    ]
    narrower = judge(CLAIM, five_times)
    assert (found.high - found.low) / (narrower.high - narrower.low) == pytest.approx(5**0.5, rel=0.01)


def test_networks_that_misread_the_same_digits_are_compared_digit_by_digit():
    """Of 10 000 digits one misreads 500, the other these and 20 more: that is no chance, which two proportions miss."""
    first = " ".join(map(str, range(500)))
    runs = [
        run("ours", 0, accuracy=0.95, misread=first),
        run("rival", 0, accuracy=0.948, misread=f"{first} {' '.join(map(str, range(9000, 9020)))}"),
    ]
    found = judge(CLAIM, runs)
    assert found.word == "holds" and found.difference == pytest.approx(0.002)
    deviation = (0.002 * 0.998 / 9999) ** 0.5
    assert found.high - found.difference == pytest.approx(1.9602 * deviation, rel=1e-3)
    assert judge(CLAIM, [*runs, run("other", 0, accuracy=0.9)]) == found, (
        "what others misread is nobody's concern"
    )
    assert judge(CLAIM, [*runs, run("rival", 1, accuracy=0.948)]).word == "level", (
        "of one run it is not known"
    )


def test_seeds_that_lie_apart_widen_the_interval_of_accuracies():
    def judged(apart: float):
        ours = [run("ours", seed, accuracy=0.92 + apart * by) for seed, by in enumerate((-1, 0, 1))]
        return judge(CLAIM, [*ours, run("rival", 0, accuracy=0.9)])

    assert judged(0.0).word == "holds" and judged(0.03).word == "level"
    # Ours has a deviation of 0.03 / sqrt(3), and the rival, with one run, borrows 0.03 from ours: one variance with two
    # degrees of freedom, whose quantile is 4.30. Beside it the digits hardly count.
    assert judged(0.03).high - judged(0.03).low == pytest.approx(2 * 4.30 * 0.03 * (4 / 3) ** 0.5, rel=0.05)


def test_both_eyes_of_a_child_count_once():
    """Differences that come in pairs are half as many, and the claim that four photographs carry is open."""
    rival = [0.5, 0.5, 0.6, 0.6, 0.7, 0.7, 0.8, 0.8]
    ours = [
        score + by for score, by in zip(rival, (0.05, 0.05, 0.01, 0.01, 0.02, 0.02, 0.0, 0.0), strict=True)
    ]
    runs = [run("ours", 0, dice_by_image=ours), run("rival", 0, dice_by_image=rival)]
    assert judge(CLAIM, runs).word == "holds"
    by_child = judge(replace(CLAIM, experiment="vessels"), runs)
    assert by_child.word == "level" and by_child.difference == pytest.approx(0.02)
    # Student's over four differences: 0.05, 0.01, 0.02 and 0 have a deviation of 0.0216.
    assert by_child.high - by_child.difference == pytest.approx(3.1824 * 0.0216 / 2, rel=1e-3)
    assert experiments.experiment("vessels-drive").together == 1, "forty people"


def test_it_is_said_where_nothing_is_known_of_other_seeds():
    single = [run("ours", 0, accuracy=0.92), run("rival", 0, accuracy=0.9)]
    assert not judge(CLAIM, single).seeds_known
    found = judge(CLAIM, [*single, *(run("other", seed, accuracy=0.9) for seed in (0, 1))])
    assert found.seeds_known and found.runs == (1, 1)


def test_an_experiment_of_single_runs_borrows_the_spread_over_seeds_of_its_task(monkeypatch):
    def committed(name: str, profile: str) -> list[dict]:
        rows = {"vessels-rgb": [0.80], "vessels": [0.79, 0.81]}.get(name, [])
        return [
            run(model, seed, dice_by_image=[score] * 8)
            for model in ("vessels-pdegcnn6", "vessels-cnn6")
            for seed, score in enumerate(rows)
        ]

    monkeypatch.setattr(claims, "committed_results", committed)
    found = {verdict.claim.experiment: verdict for verdict in claims.judged()}
    single = found["vessels-rgb"]
    # Pooled over two networks of two runs each: a variance of 0.0002, two degrees of freedom, and two single runs.
    assert single.seeds_known and single.high == pytest.approx(4.3027 * (2 * 0.0002) ** 0.5, rel=1e-4)


def test_networks_whose_search_is_not_over_have_no_verdict(monkeypatch):
    """Lines, after what their search begins with: the claim is on the list, and waits."""
    row = {"dice_by_image": [0.8] * 8}
    monkeypatch.setattr(
        claims,
        "committed_results",
        lambda name, profile: [run(v, 0, **row) for v in experiments.experiment(name).labels],
    )
    judged = {verdict.claim.experiment for verdict in claims.judged()}
    assert "vessels" in judged and "lines" not in judged
    monkeypatch.setattr(experiments.registry.Experiment, "settled", lambda self, name: True)
    assert "lines" in {verdict.claim.experiment for verdict in claims.judged()}


def test_a_claim_without_runs_has_no_verdict():
    assert judge(CLAIM, [run("ours", 0, accuracy=0.9)]) is None
