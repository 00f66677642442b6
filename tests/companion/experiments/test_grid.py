"""The grid of runs: what is done, what is missing, and which results the pages have."""

import json
import sys
from dataclasses import replace

import pytest

from pdegcnn_lib.companion import experiments
from pdegcnn_lib.companion.experiments import grid
from pdegcnn_lib.companion.experiments.provenance import code_fingerprint
from pdegcnn_lib.companion.paths import write_atomically

run_module = sys.modules[experiments.run.__module__]


def test_grid_status(tiny):
    units = tiny.TINY.units("fast")
    assert [(u.seed, u.model) for u in units] == [(s, m) for s in (0, 1) for m in tiny.TINY.labels]
    before = grid.status(tiny.TINY, "fast")
    assert (before["runs"], before["done"]) == (4, 0)
    assert before["missing"][0] == {"model": "digits-pdegcnn", "seed": 0}
    path = experiments.result_path(units[0])
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"code": "another"}))
    assert grid.status(tiny.TINY, "fast") == before, "what other code has made here is not this run"
    path.write_text(json.dumps({"code": code_fingerprint()}))
    after = grid.status(tiny.TINY, "fast")
    assert after["done"] == 1 and len(after["missing"]) == 3
    assert grid.find(units[0]) == path and grid.find(units[1]) is None


def test_a_committed_result_is_taken_before_anything_is_trained(tiny, monkeypatch):
    unit = tiny.TINY.units("full")[0]
    monkeypatch.setattr(grid, "run", lambda unit: {"trained": unit.variant})
    assert experiments.obtain(unit) == {"trained": unit.variant}
    write_atomically(grid.committed_path(unit), '{"committed": true}')
    assert experiments.obtain(unit) == {"committed": True}


def test_committed_results_are_those_that_the_experiment_asks_for(tiny):
    units = tiny.TINY.units("full")
    other = replace(units[0], training=replace(units[0].training, steps=9))
    for unit in (*reversed(units), other):
        content = {"variant": unit.variant, "seed": unit.seed, "training": {"steps": unit.training.steps}}
        write_atomically(grid.committed_path(unit), json.dumps(content))
    found = experiments.committed_results("tiny")
    assert [(r["variant"], r["training"]["steps"]) for r in found] == [(v, 8) for v in tiny.TINY.labels]
    with pytest.raises(ValueError, match="got 'nothing'"):
        experiments.committed_results("nothing")
