"""The training loop: what it keeps, what its checkpoints hold, and what a batch depends on."""

from dataclasses import replace

import pytest
import torch

from pdegcnn_lib.companion.experiments import Task, Training
from pdegcnn_lib.companion.experiments.training import _generators, _read, _restore_generators, _save, train

CPU = torch.device("cpu")
GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_a_checkpoint_keeps_what_dropout_draws_from(device):
    device = torch.device(device)
    states = _generators(device)
    drawn = torch.rand(3, device=device), torch.rand(3)
    _restore_generators(states, device)
    assert torch.equal(torch.rand(3, device=device), drawn[0]) and torch.equal(torch.rand(3), drawn[1])


def test_what_is_kept_is_the_mean_of_the_networks_along_the_way(tiny):
    """One weight that a constant rate moves: the mean written out, with the faster forgetting at the beginning."""

    class Slope(Task):
        def batch(self, size, generator):
            return torch.ones(size, 1), torch.zeros(size)

        def loss(self, output, target):
            return output.mean()

        def evaluate(self, model, device):
            return {}

    def trained(steps, average):
        model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
        model.weight.data.fill_(1.0)
        settings = Training(
            steps=steps,
            batch_size=1,
            learning_rate=0.1,
            schedule="constant",
            weight_decay=0.1,
            average=average,
        )
        model.forward = lambda x: x.double() * model.weight
        train(model, Slope(), settings, seed=0, device=CPU)
        return model.weight.item()

    mean = 1.0
    for n in range(40):
        forget = min(0.8, (1 + n) / (10 + n))
        mean = forget * mean + (1 - forget) * trained(n + 1, 0.0)
    assert trained(40, 0.8) == pytest.approx(mean, rel=1e-12)
    assert trained(40, 0.8) - trained(40, 0.0) > 0.1, "it lags behind"


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 0.999])
@pytest.mark.parametrize(
    "damage", [lambda file, n: file[:n], lambda file, n: file[:n] + b"?" + file[n + 1 :]]
)
def test_a_checkpoint_is_not_taken_where_a_byte_of_it_is_missing_or_another(tmp_path, damage, place):
    """Cut short in the middle it made torch seek to where no file is; of numbers torch asks no checksum."""
    path = tmp_path / "run.checkpoint.pt"
    weights = {"weight": torch.full((5000,), 1 / 3)}
    state = dict.fromkeys(("of", "optimizer", "average", "rng", "state"), {})
    _save(path, {"model": weights, **state})
    assert torch.equal(_read(path)["model"]["weight"], weights["weight"])
    whole = path.read_bytes()
    path.write_bytes(damage(whole, int(place * len(whole))))
    with pytest.warns(RuntimeWarning, match=r"run.checkpoint.pt is damaged .*starts from its beginning"):
        assert _read(path) is None


def test_training_learns(tiny):
    """Horizontal against vertical, by its two directional differences: the loss falls from log 2 to nearly 0."""
    training = replace(tiny.UNIT.training, steps=60, batch_size=16, learning_rate=0.1, checkpoint_seconds=1e9)

    class Differences(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack(
                [x.diff(dim=-1).abs().mean((1, 2, 3)), x.diff(dim=-2).abs().mean((1, 2, 3))], dim=1
            )

    model = torch.nn.Sequential(Differences(), torch.nn.Linear(2, 2))
    curve, _ = train(model, tiny.Stripes(), training, seed=0, device=CPU)
    assert curve[-1]["loss"] < 0.2 < 0.5 < curve[0]["loss"]


def test_batches_depend_on_seed_and_step_alone(tiny, monkeypatch):
    """Every model sees the same data in the same order."""
    seen, batch = [], tiny.Stripes.batch

    def watched(self, size, generator):
        inputs, targets = batch(self, size, generator)
        seen.append(inputs)
        return inputs, targets

    monkeypatch.setattr(tiny.Stripes, "batch", watched)
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 2))
    wide = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 9), torch.nn.Dropout(0.5))
    training = replace(tiny.UNIT.training, steps=3)
    for model, seed in ((flat, 1), (wide, 1), (flat, 2)):
        train(model, tiny.Stripes(), training, seed=seed, device=CPU)
    assert all(torch.equal(seen[n], seen[n + 3]) for n in range(3))
    assert not torch.equal(seen[0], seen[6]) and not torch.equal(seen[0], seen[1])
