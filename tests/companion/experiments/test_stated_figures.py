"""The figures that prose states beside the tables, by hand, are those of the committed results."""

import sys

import pytest

from pdegcnn_lib.companion import experiments, paths
from pdegcnn_lib.companion.experiments import claims, comparison

sys.path.append(str(paths.root() / "tools"))
import stated_figures as stated
from stated_sentences import DIGITS
from stated_words import APART, SAID, WON


def said_once(place, words):
    return " ".join((paths.root() / place).read_text(encoding="utf-8").split()).count(words) == 1


@pytest.mark.parametrize(("place", "sentence"), stated.STATED)
def test_figures_in_prose_are_those_of_the_results(place, sentence):
    prose = (paths.root() / place).read_text(encoding="utf-8")
    assert f" {stated.written(sentence)}" in " ".join(prose.split())  # no word runs into its beginning
    assert stated.restated(prose, sentence) == prose


@pytest.fixture(scope="module")
def verdicts():
    judged = claims.judged()
    return {(v.claim.experiment, v.claim.ours, v.claim.rival): v.word for v in judged}


@pytest.mark.parametrize(("place", "words", "experiment", "ours", "rival", "word"), SAID)
def test_words_in_prose_are_the_verdicts(place, words, experiment, ours, rival, word, verdicts):
    assert said_once(place, words)
    assert verdicts[experiment, ours, rival] == word


@pytest.fixture(scope="module")
def vessels():
    """The runs on vessels and, without a name, the second observer, as often as it takes to borrow no seeds."""
    long = experiments.settled_results("vessels")
    return [*long, *[{"variant": "", "metrics": long[0]["metrics"]["observer"]}] * comparison.OWN]


@pytest.mark.parametrize(("place", "words", "ours", "rival", "won"), WON)
def test_photographs_that_prose_counts_are_won(place, words, ours, rival, won, vessels):
    assert said_once(place, words)
    assert comparison.compare(vessels, ours, rival).won == won


@pytest.mark.parametrize(("place", "words", "ours"), APART)
def test_intervals_in_prose_are_those_of_the_results(place, words, ours, vessels):
    found = comparison.compare(vessels, ours, "", together=2)
    interval = f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]".replace("-", "\u2212")
    assert said_once(place, words.format(interval))


def test_every_run_on_digits_is_ahead_of_every_run_of_lenet():
    assert said_once(DIGITS, "each of their runs is ahead of each of LeNet-5,")
    for network in ("paper", "invariant"):
        assert min(stated.scores(network)) > max(stated.scores("lenet"))


def test_figures_of_earlier_results_are_restated_and_nothing_else():
    sentence = "{size pde12} parameters has in {runs pde12} {least pde12} to {most pde12}, {pde12} in all"
    earlier = "It has 1 024 parameters, and 2\u202f048\nparameters has in one run 1.0 to\n99.9, 7.5 in all."
    today = stated.restated(earlier, sentence)
    assert " ".join(today.split()) == f"It has 1 024 parameters, and {stated.written(sentence)}."
    assert today.count("\n") == 2 and today.count("\u202f") == 1
    assert stated.restated(today, sentence) == today
    behind = stated.restated("it is 0.2 percent ahead", "it is {pde6 - pde12} percent ahead")
    assert (
        behind.startswith("it is \u2212") and stated.restated(behind, "is {pde6 - pde12} percent") == behind
    )
    with pytest.raises(ValueError, match=r"stand there once, it stands there 0 times: \{pde12\} of"):
        stated.restated(earlier, "{pde12} of them")
    with pytest.raises(ValueError, match="2 times"):
        stated.restated("has 1.0 or has 2.0", "has {pde12}")
