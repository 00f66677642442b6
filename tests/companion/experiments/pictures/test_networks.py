"""What a trained network learned is drawn as it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

plt = pytest.importorskip("matplotlib.pyplot")

from pdegcnn_lib import models  # noqa: E402
from pdegcnn_lib.companion.experiments import load_model, trained, weights_path  # noqa: E402
from pdegcnn_lib.companion.experiments.pictures import networks  # noqa: E402


@pytest.fixture
def result(tmp_path) -> Path:
    from safetensors.torch import save_file

    path = tmp_path / "net.json"
    path.write_text(json.dumps({"model": "vessels-pdegcnn3", "in_channels": 1, "options": {}}))
    save_file(models.build("vessels-pdegcnn3").state_dict(), weights_path(path))
    return path


@pytest.mark.parametrize("options", [{}, {"alpha": "trained", "steps": 2}])
def test_the_operators_of_a_network_in_order(options):
    model = models.build("vessels-pdegcnn6", **options)
    assert list(networks.operators(model)) == [
        f"layer {n}, {kind}" for n in range(1, 5) for kind in ("dilation", "erosion")
    ]
    operator = networks.operators(model)["layer 1, dilation"]
    on_grid = operator.kernel()[3, 0].detach()
    p = torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64)  # q^-1 p for the neighbour at column 0, row 3
    assert networks.kernel_of(operator, 3)(p).item() == pytest.approx(on_grid[2, 3, 0].item(), rel=1e-5)
    with pytest.raises(ValueError, match="the network has no lift"):
        networks.lift_of(models.build("vessels-cnn3-narrow"), torch.rand(1, 20, 20))
    fixed = models.build("vessels-pdegcnn6-fixed-lift")
    assert networks.lift_of(fixed, torch.rand(1, 20, 20)).shape == (1, 8, 20, 20)


def test_view_writes_a_picture_of_everything(result, tmp_path, monkeypatch, capsys):
    pytest.importorskip("skimage")
    from pdegcnn_lib.companion.cli import main

    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    assert main(["view", str(result), "-o", str(tmp_path / "out")]) == 0
    written = [Path(line) for line in capsys.readouterr().out.split()]
    assert [p.name for p in written] == [
        "score.png",
        "metrics.png",
        "layer1-dilation.png",
        "layer1-erosion.png",
    ]
    assert all(plt.imread(p).std() > 0.01 for p in written)
    (tmp_path / "out" / "metrics.png").write_text("mine")
    assert main(["view", str(result), "-o", str(tmp_path / "out")]) == 2
    assert "metrics.png is there already and not a result of `pdegcnn`" in capsys.readouterr().err
    assert (tmp_path / "out" / "metrics.png").read_text() == "mine"


def test_view_refuses_a_network_on_volumes(tmp_path, capsys):
    from pdegcnn_lib.companion.cli import main

    assert main(["view", "tubes/tubes-pdegcnn-8x2-6", "-o", str(tmp_path / "out")]) == 2
    said = "tubes-pdegcnn is a network on volumes; view shows networks on images"
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_of_a_network_without_kernels_its_score_is_shown(tmp_path, monkeypatch, capsys):
    pytest.importorskip("skimage")
    from pdegcnn_lib.companion.cli import main

    assert main(["view", "vessels/vessels-gcnn6-narrow", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "score.png")]


def test_view_prepares_a_photograph_as_the_network_saw_them(result, tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    from pdegcnn_lib.companion.data import retina
    from pdegcnn_lib.companion.segment import prepare

    record = json.loads(result.read_text())
    record["preparation"] = {"data": "CHASE_DB1", "mode": "green", "field_diameter": 220.0}
    result.write_text(json.dumps(record))
    eye = retina.photograph()[:, ::4, ::4]
    plt.imsave(tmp_path / "eye.png", eye.permute(1, 2, 0).numpy())
    shown = []
    monkeypatch.setattr(
        networks, "lift_of", lambda model, image: shown.append(image) or torch.rand(1, 8, 9, 9)
    )
    monkeypatch.setattr(networks, "operators", lambda model: {})
    networks.view(result, tmp_path / "eye.png", tmp_path / "out")
    expected, _ = prepare(record, networks.read(tmp_path / "eye.png"))
    assert torch.equal(shown[0], expected) and abs(float(expected.mean())) < 0.2


def test_the_committed_network_with_full_metrics_is_drawn(tmp_path, monkeypatch, capsys):
    """Its metrics have no length scales of their own: the lengths of the frame stand for them."""
    pytest.importorskip("skimage")
    from pdegcnn_lib.companion.cli import main

    every = networks.operators

    def first(model):
        return dict(list(every(model).items())[:2])

    monkeypatch.setattr(networks, "operators", first)
    assert main(["view", "vessels-parts/vessels-pdegcnn6-full", "-o", str(tmp_path)]) == 0
    written = [Path(line) for line in capsys.readouterr().out.split()]
    names = ["score.png", "metrics.png", "layer1-dilation.png", "layer1-erosion.png"]
    assert [p.name for p in written] == names and all(plt.imread(p).std() > 0.01 for p in written)
    model = load_model(trained.resolve("vessels-parts/vessels-pdegcnn6-full"))
    metric = first(model)["layer 1, dilation"].metric()
    assert not metric.is_diagonal and (metric.lengths > 0).all()


def test_the_anisotropy_of_every_channel_is_drawn():
    model = models.build("vessels-pdegcnn6")
    left, right = networks.anisotropy_by_layer([model, model]).axes
    w = networks.operators(model)["layer 2, dilation"].metric().w.detach()
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert np.allclose(np.unique(dots[1].get_ydata()), np.unique((w[:, 1] / w[:, 0]).numpy()))
    assert len(dots) == 4 and left.get_title() == "dilation" and right.get_title() == "erosion"


def test_transport_is_drawn_as_it_is():
    model = models.build("vessels-pdegcnn3")
    g0 = model[2].evolution["convection"].g0
    torch.nn.init.normal_(g0)
    ax = networks.learned_transport(model).axes[0]
    [arrows] = ax.collections
    assert np.allclose(np.stack([arrows.U, arrows.V], 1), g0[:, :2].detach()) and ax.yaxis_inverted()


def test_features_of_every_layer():
    figure = networks.features(models.build("vessels-pdegcnn6").eval(), torch.rand(1, 20, 24), channels=3)
    assert [figure.axes[3 * n].get_ylabel() for n in range(7)] == [
        "image", "lift", "layer 1", "layer 2", "layer 3", "layer 4", "output",
    ]  # fmt: skip
    assert [len(ax.images) for ax in figure.axes] == [1, 0, 0] + [1] * 15 + [1, 0, 0]
