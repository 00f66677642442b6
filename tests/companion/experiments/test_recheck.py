"""Every committed result can be read, and its weights are those of the network that it names."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pdegcnn_lib import models
from pdegcnn_lib.companion import experiments, paths
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.experiments import grid, recheck, weights_path, work


def test_every_committed_result_names_a_network_of_its_size_and_every_weight_loads():
    results = recheck.committed()
    files = set(paths.results().rglob("*.safetensors"))
    assert files and files <= {weights_path(result) for result in results}, "weights without a result"
    for result in results:
        record = experiments.read_result(result)
        if weights_path(result) in files:
            model = experiments.load_model(result)
        else:
            model = models.build(record["model"], record["in_channels"], **record["options"])
        assert models.parameter_count(model) == record["parameters"], result


def test_a_score_is_that_of_the_weights_and_a_change_of_them_shows(tiny, monkeypatch, capsys):
    monkeypatch.setattr(tiny.Stripes, "evaluate", lambda self, model, device: {"accuracy": model_sum(model)})
    unit = tiny.TINY.units("full")[0]
    work.do(unit)
    result = grid.committed_path(unit)
    assert recheck.committed() == [result]
    assert recheck.main() == 0 and "1 of 1 networks evaluated, 0 scores moved" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(recheck, "scores", absent)
        assert recheck.main() == 1, "nothing was evaluated"
    assert "left out: no data" in capsys.readouterr().out
    weights = {name: value.clone() for name, value in load_file(weights_path(result)).items()}
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, weights_path(result))
    assert recheck.main() == 1 and "1 scores moved" in capsys.readouterr().out


def test_a_damaged_file_is_named_and_the_others_are_evaluated(tiny, monkeypatch, capsys):
    monkeypatch.setattr(tiny.Stripes, "evaluate", lambda self, model, device: {"accuracy": model_sum(model)})
    units = [tiny.TINY.unit("digits-pdegcnn", seed, "full") for seed in (0, 1)]
    for unit in units:
        work.do(unit)
    first, second = map(grid.committed_path, units)
    whole = first.read_bytes()
    for content in (whole[:100], b'{"digest": "x"}', b"[" * 100000):
        first.write_bytes(content)
        assert recheck.main() == 1
        out = capsys.readouterr().out
        assert f"left out: {first} " in out and "1 of 2 networks evaluated, 0 scores moved" in out
    first.write_bytes(b"\xef\xbb\xbf" + whole)
    assert recheck.main() == 0


def test_a_record_gains_what_the_judge_did_not_say_then_where_its_score_holds(tiny, monkeypatch):
    monkeypatch.setattr(tiny.Stripes, "evaluate", lambda self, model, device: {"accuracy": model_sum(model)})
    units = [tiny.TINY.unit("digits-pdegcnn", seed, "full") for seed in (0, 1)]
    for unit in units:
        work.do(unit)
    first, second = map(grid.committed_path, units)
    moved = experiments.read_result(second)
    moved["metrics"]["accuracy"] += 1
    second.write_text(json.dumps(moved))
    before = experiments.read_result(first)
    monkeypatch.setattr(
        tiny.Stripes, "evaluate", lambda self, model, device: {"accuracy": model_sum(model), "misread": "3 5"}
    )
    assert recheck.main(["tiny"]) == 1 and experiments.read_result(first) == before
    assert recheck.main(["tiny/full", "--add"]) == 1
    after = experiments.read_result(first)
    assert after["metrics"] == {**before["metrics"], "misread": "3 5"}
    [added] = after["added"]
    assert added["metrics"] == ["misread"] and "revision" in added
    assert experiments.read_result(second) == moved
    assert recheck.main(["tiny/long"]) == 1, "nothing lies there"


def absent(results):
    raise DataError("no data")


def model_sum(model: torch.nn.Module) -> float:
    return sum(float(value.double().sum()) for value in model.state_dict().values())


def test_the_digits_are_read_as_well_as_was_recorded():
    """By the network that is evaluated fastest; `make recheck` has all of them."""
    [result] = (paths.results() / "digits-upright/full").glob("digits-lenet5-seed0-*.json")
    try:
        [(_, then, now, _)] = recheck.scores([result])
    except DataError as error:
        pytest.skip(str(error))
    assert now == pytest.approx(then, abs=recheck.TOLERANCE)
