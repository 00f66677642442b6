"""The search for the number of steps and the rate; the order of the grid; what the recorded settings come from."""

import json
import math
from dataclasses import replace

import pytest

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.experiments import EXPERIMENTS, Training, Variant, experiment, grid, pictures, work
from pdegcnn_lib.companion.experiments.registry import key, kind
from pdegcnn_lib.companion.experiments.search import BEYOND, RATES, Search, network_of, run_name, scores_of
from pdegcnn_lib.companion.experiments.tuned import FOUND, SEARCHES

SEARCH = Search(start=8, cap=64, enough=0.1, rates={"pdegcnn": 1e-2})


def work_off(score, first=1e-2):
    """Ask until nothing is asked for: the runs in their order, and what was found."""
    search = replace(SEARCH, rates={"pdegcnn": first})
    scores, asked = {}, []
    while wanted := search.next(scores, first):
        over = search.found(scores, first) is not None
        assert not over or wanted[0][1] in BEYOND.values(), (
            "only what is beyond the candidates is asked for later"
        )
        assert set(wanted) <= set(search.runs("pdegcnn"))
        asked.append(wanted[0])
        scores[wanted[0]] = score(*wanted[0])
    return asked, search.found(scores, first)


def test_steps_are_doubled_until_that_gains_too_little():
    asked, found = work_off(lambda steps, rate: min(steps, 16) / 32 + (rate == 3e-2))
    # From 16 to 32 nothing is gained, so 16 is enough; the rates are tried with a quarter of it.
    assert asked == [(8, 1e-2), (16, 1e-2), (32, 1e-2), *((4, rate) for rate in RATES)]
    assert found == {"steps": 16, "learning_rate": 3e-2}


def test_the_doubling_ends_at_the_cap():
    asked, found = work_off(lambda steps, rate: steps)
    assert asked[:4] == [(n, 1e-2) for n in (8, 16, 32, 64)] and found["steps"] == 64
    assert found["learning_rate"] == RATES[0], (
        "of equal rates the lowest, and beyond the candidates a better one"
    )


@pytest.mark.parametrize(("slope", "last", "beyond"), [(-1, RATES[0], 1e-3), (1, RATES[-1], 3e-1)])
def test_beyond_the_lowest_and_the_highest_rate_one_more_is_asked_for(slope, last, beyond):
    def score(steps, rate, turn=beyond):
        return slope * math.log(rate) if slope * rate <= slope * turn else -9.0

    asked, found = work_off(score)
    assert asked[-1] == (2, beyond) and found["learning_rate"] == beyond
    asked, found = work_off(lambda steps, rate: score(steps, rate, last))
    assert asked[-1] == (2, beyond) and found["learning_rate"] == last, "it was tried, and was worse"
    asked, _ = work_off(lambda steps, rate: -abs(math.log(rate / 2e-2)))
    assert beyond not in dict(asked).values(), "the best is not at the end"


def test_the_rate_that_a_network_begins_with_is_a_candidate():
    asked, found = work_off(lambda steps, rate: -abs(math.log(rate / 2e-2)), first=2e-2)
    assert found["learning_rate"] == 2e-2 and [rate for _, rate in asked[2:]] == [
        3e-3,
        1e-2,
        2e-2,
        3e-2,
        1e-1,
    ]


def test_no_length_is_taken_from_a_rate_that_diverges():
    asked, found = work_off(lambda steps, rate: -math.inf if rate == 1e-2 else 1.0)
    assert asked[:3] == [(8, 1e-2), (16, 1e-2), (2, 3e-3)] and found == {"steps": 8, "learning_rate": 3e-3}


def test_a_rate_that_diverges_is_not_chosen():
    record = {"variant": "m-4-0.1", "training": {"steps": 4, "learning_rate": 0.1}}
    found = scores_of(
        [{**record, "metrics": {}}, {**record, "metrics": {"dice": 0.5}, "variant": "n-4-0.1"}], "dice"
    )
    assert work_off(lambda steps, rate: -math.inf)[1] is None, "nothing is found where all of them diverge"
    assert found["m"][4, 0.1] < -1e9 and found["n"] == {(4, 0.1): 0.5}


def test_the_grid_runs_what_a_search_asks_for(tiny, monkeypatch):
    model = "digits-pdegcnn"
    runs = SEARCH.runs(kind(model))
    variants = [
        Variant(model, run_name(model, n, rate), training={"steps": n, "learning_rate": rate})
        for n, rate in runs
    ]
    entered = replace(
        tiny.TINY, variants=tuple(variants), seeds={"long": 1}, training={"long": Training(1)}, search=SEARCH
    )
    done = []

    def finish(unit, out):
        done.append((unit.training.steps, unit.training.learning_rate))
        training = {"steps": unit.training.steps, "learning_rate": unit.training.learning_rate}
        content = {"variant": unit.variant, "model": model, "seed": 0, "training": training}
        content["metrics"] = {"accuracy": 0.5}
        paths.write_atomically(out, json.dumps(content))

    monkeypatch.setattr(work, "run", finish)
    work.work_off([entered], "long")
    assert done == [(8, 1e-2), (16, 1e-2), *((2, rate) for rate in RATES), (2, 1e-3)]
    status = grid.status(entered, "long")
    assert status["runs"] == status["done"] == len(done) and not status["missing"]
    monkeypatch.setitem(EXPERIMENTS, entered.name, entered)
    assert [r["training"]["steps"] for r in grid.doublings(entered)] == [8, 16], "2 steps are for the rates"


def test_the_report_says_how_many_searches_are_over(tiny):
    report = pictures.search_report("vessels")
    assert "over for none of the 7 networks: they took the 1\u202f500 steps" in report
    entry = EXPERIMENTS["vessels-search"]

    def put(unit, dice):
        content = {"variant": unit.variant, "training": unit.config["training"], "metrics": {"dice": dice}}
        paths.write_atomically(grid.committed_path(unit), json.dumps(content))

    for unit in entry.units("long"):
        if unit.model == "vessels-unet":
            put(unit, unit.training.steps / 1e5)
    assert "over for 1 of 7 networks" in pictures.search_report("vessels")
    said = "The cap of 12\u202f000 steps cut off: U-Net, whose last doubling gained 6.0 percent."
    assert said in pictures.search_report("vessels")
    for unit in entry.units("long"):
        put(unit, 0.5 + (unit.training.learning_rate == 1e-2))
    assert pictures.search_report("vessels").endswith("is over for all 7 networks.")
    for unit in entry.units("long"):
        if unit.training.learning_rate == 1e-3:
            grid.committed_path(unit).unlink()
        elif unit.model == "vessels-unet":
            put(unit, 0.5 - unit.training.learning_rate)
    said = "For the U-Net the best rate is the last on its side, and 0.001 has not been tried."
    assert said in pictures.search_report("vessels")


def test_first_seeds_come_first_then_those_up_to_three():
    units = [u for e in EXPERIMENTS.values() for u in e.units("long")]
    seeds = [u.seed for u in sorted(units, key=grid.urgency)]
    stages = [(seed + 1) // 2 for seed in seeds]
    assert stages == sorted(stages) and set(seeds) == set(range(5))
    plain = [u.variant for u in sorted(units, key=grid.urgency) if not u.experiment.endswith("-search")]
    assert plain[:3] == ["vessels-pdegcnn12", "vessels-unet", "vessels-cnn6-narrow"]


# Where the runs that are shown were made before their search was over, what it came to; the pages say so.
OWED = {("vessels", "vessels-gcnn12-narrow"): {"steps": 6000, "learning_rate": 0.001}}


@pytest.mark.parametrize("task", SEARCHES)
def test_the_recorded_settings_are_those_that_the_searches_came_to(task):
    """Where a search is over; where it is not, the settings that it begins with stand."""
    entry = experiment(f"{task}-search")
    search = SEARCHES[task]
    assert entry.search is search and FOUND[task].keys() == search.rates.keys()
    known = scores_of([grid.record(u) for u in entry.units("long") if grid.known(u)], entry.score)
    for network, model in {network_of(u.config): u.model for u in entry.units("long")}.items():
        first = search.rates[key(network, model, search.rates)]
        beginning = {"steps": search.start, "learning_rate": first}
        settings = FOUND[task][key(network, model, FOUND[task])]
        found = search.found(known.get(network, {}), first) or beginning
        assert found == OWED.get((task, network), settings)
        assert ((task, network) in OWED) == (found != settings)
