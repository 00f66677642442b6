"""Tables and pictures of results show what the records say."""

import numpy as np
import pytest
import torch

plt = pytest.importorskip("matplotlib.pyplot")

from pdegcnn_lib.companion import viz  # noqa: E402
from pdegcnn_lib.companion.experiments import pictures  # noqa: E402
from pdegcnn_lib.companion.experiments.claims import Claim, Verdict  # noqa: E402
from pdegcnn_lib.companion.experiments.published import CHASE_DB1, Published  # noqa: E402
from pdegcnn_lib.companion.viz.segmentations import VERDICTS  # noqa: E402


def record(variant: str, seed: int, dice: float, parameters: int = 2560, images: int = 20) -> dict:
    return {
        "variant": variant,
        "model": variant,
        "seed": seed,
        "parameters": parameters,
        "metrics": {"dice": dice, "angles": [0, 30, 60, 90], "accuracy_by_angle": [dice, 0.5, 0.5, dice]},
        "data": {"images": images},
        "training": {"steps": 10, "batch_size": 8},
        "curve": [{"step": 5, "loss": 1 - dice / 2}, {"step": 10, "loss": 1 - dice}],
        "device": "a processor",
        "versions": {"torch": "2.13.0"},
        "revision": "abc",
    }


RECORDS = [
    record("vessels-cnn6-narrow", 0, 0.70, 25662),
    record("vessels-cnn6-narrow", 1, 0.74, 25662),
    record("vessels-pdegcnn6", 0, 0.78),
]


def test_labels():
    assert pictures.label("vessels-cnn6-narrow") == "CNN, 6 layers"
    assert pictures.label("vessels-pdegcnn6-no-erosion") == "PDE-G-CNN, 6 layers, no erosion"
    assert (
        pictures.label("vessels-unet") == "U-Net"
        and pictures.label("vessels-unet-augmented") == "U-Net, augmented"
    )
    assert pictures.label("vessels-pdegcnn12-6000") == "PDE-G-CNN, 12 layers, 6\u202f000 steps"
    assert pictures.label("digits-lenet5") == "LeNet-5" and pictures.label("mine") == "mine"
    styles = [pictures.model_style(m) for m in ("vessels-cnn6", "vessels-gcnn12", "vessels-pdegcnn3", "mine")]
    assert len({s["color"] for s in styles}) == len({s["marker"] for s in styles}) == 4


def test_the_table_has_means_deviations_and_seeds():
    head, rule, first, second = pictures.result_table(RECORDS, {"dice": "Dice, %"}).splitlines()
    assert head == "| network | parameters | seeds | Dice, % |" and rule == "| --- | --: | --: | --: |"
    assert first == "| CNN, 6\u00a0layers | 25\u202f662 | 2 | 72.0\u00a0±\u00a02.8 |"
    assert second == "| PDE\u2011G\u2011CNN, 6\u00a0layers | 2\u202f560 | 1 | 78.0 |"


def test_what_is_no_network_stands_below_with_what_is_known_of_it():
    columns, beside = {"dice": "Dice, %", "auc": "AUC, %"}, {"second observer": {"dice": 0.8, "clDice": 0.9}}
    *_, last = pictures.result_table(
        [{**r, "metrics": {"dice": 0.7, "auc": 0.9}} for r in RECORDS], columns, beside=beside
    ).splitlines()
    assert last == "| second observer |  |  | 80.0 |  |"
    assert pictures.result_table([], columns, beside=beside) == ""


def test_a_column_may_be_an_entry_of_an_entry():
    nested = [{**r, "metrics": {**r["metrics"], "at_one_half": {"dice": 0.5}}} for r in RECORDS]
    assert pictures.result_table([], {"dice": "Dice"}) == ""
    assert pictures.result_table(nested, {"at_one_half.dice": "Dice"}).endswith("| 1 | 50.0 |")


def test_changes_are_held_against_the_base_of_the_same_seed():
    def run(variant, seed, scores):
        result = record(variant, seed, sum(scores) / len(scores))
        result["metrics"]["dice_by_image"] = scores
        return result

    base = [run("vessels-pdegcnn6", 0, [0.7, 0.8]), run("vessels-pdegcnn6", 1, [0.1, 0.1])]
    changed = [run("vessels-pdegcnn6-no-erosion", 0, [0.72, 0.82])]
    rows = pictures.change_table(base, changed).splitlines()[2:]
    assert rows[0].startswith("| none | 2\u202f560 | 2 | 42.5\u00a0±\u00a0")
    assert rows[1] == "| no erosion | 2\u202f560 | 1 | 77.0 | +2.0 | [+2.0,\u00a0+2.0] |"

    # Two images of one person are one: nothing is known of other persons, and the interval is not that of two.
    apart = [run("vessels-pdegcnn6-no-erosion", 0, [0.71, 0.83])]
    assert pictures.change_table(base, apart).endswith("| [\u221210.7,\u00a0+14.7] |")
    assert pictures.change_table(base, apart, together=2).endswith("| [\u2212inf,\u00a0+inf] |")
    [interval, _] = pictures.change_plot(base, apart, together=2).axes[0].lines[-2:]
    assert np.isinf(interval.get_xdata()).all()

    [ax] = pictures.change_plot(base, changed).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["no erosion"]
    *_, interval, point = ax.lines
    assert np.allclose(interval.get_xdata(), [2, 2]) and np.allclose(point.get_xdata(), [2])
    [band] = ax.patches
    # The means of the two runs are 75 and 10: their deviation is 65 / sqrt 2, that of a difference 65, with Student's
    # quantile of one degree of freedom.
    assert np.allclose(band.get_x(), -12.7062 * 65) and np.allclose(band.get_width(), 2 * 12.7062 * 65)


def test_claims_are_listed_with_their_verdicts():
    claim = Claim("digits, 12 000 steps", "digits-rotated", "digits-pdegcnn", "digits-lenet5")
    rows = pictures.claim_table([Verdict(claim, 0.02, -0.01, 0.05, (2542, 44426), (1, 5))]).splitlines()
    cells = "digits, 12\u202f000 steps | LeNet\u20115 | 6 % | +2.0 [\u22121.0, +5.0] | 1 / 5 | level"
    assert rows[2].replace("\u00a0", " ") == f"| {cells} |"
    alone = Verdict(claim, 0.02, 0.01, 0.03, (2542, 44426), (1, 1), seeds_known=False)
    assert pictures.claim_table([alone]).endswith("| holds in one run |")


def test_the_provenance_says_what_was_run():
    said = pictures.provenance_line(RECORDS)
    assert "3 runs of 10 steps" in said and "a processor" in said and "2.13.0" in said and "abc" in said
    assert "No run is committed yet" in pictures.provenance_line([])
    many = [{**RECORDS[0], "revision": revision} for revision in ("a1", "b2", "c3", "d4")]
    assert "code at a1 or b2 or c3.*" in pictures.provenance_line(many[:3])
    assert "code at 4 revisions, which the results name.*" in pictures.provenance_line(many)


def test_the_provenance_names_every_place_of_a_run_that_was_resumed():
    places = [
        {"step": 0, "device": "a card", "torch": "2.11.0"},
        {"step": 6, "device": "a processor, 1 thread", "torch": "2.13.0"},
    ]
    resumed = {**RECORDS[0], "device": "a processor, 1 thread", "places": places}
    older = {**RECORDS[1], "device": "a processor, 1 threads"}  # as results said it before
    said = pictures.provenance_line([resumed, older])
    assert "on a card or a processor, 1 thread; torch 2.11.0 or 2.13.0; code" in said


def test_scores_stand_where_they_belong():
    [ax] = pictures.score_by_parameters(RECORDS, "dice", name="Dice", references={"observer": 0.8}).axes
    points = np.concatenate([c.get_offsets() for c in ax.collections])
    assert {(2560, 78.0), (25662, 70.0), (25662, 72.0), (25662, 74.0)} <= {tuple(p) for p in points.round(6)}
    assert [line.get_ydata()[0] for line in ax.lines] == [80.0]
    assert [t.get_text() for t in ax.texts] == ["observer", "CNN, 6", "PDE-G-CNN, 6"]
    [ax] = pictures.score_boxes(RECORDS, "dice", name="Dice").axes
    dots = [c.get_offsets()[:, 0].tolist() for c in ax.collections]
    assert [sorted(np.round(d, 6)) for d in dots] == [[70.0, 74.0], [78.0]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["CNN, 6 layers", "PDE-G-CNN, 6 layers"]


def test_no_name_of_a_point_lies_on_another_name_a_point_or_a_line():
    level = [record(f"vessels-pdegcnn6-{what}", 0, 0.75) for what in ("rho_b", "rho_c", "full")]
    close = [record("vessels-gcnn3-narrow", 0, 0.749, 2058), record("vessels-cnn3-narrow", 0, 0.751, 2814)]
    references = {"observer": 0.7492}
    [ax] = pictures.score_by_parameters([*level, *close], "dice", name="Dice", references=references).axes
    names = [t.get_window_extent() for t in ax.texts if t.get_text() != "observer"]
    assert len(names) == 5
    for i, name in enumerate(names):
        assert not any(name.overlaps(other) for other in names[i + 1 :])
        assert not any(name.contains(*ax.transData.transform((r["parameters"], 75))) for r in level)
        assert not any(name.overlaps(line.get_window_extent()) for line in ax.lines)


def test_published_networks_have_hollow_marks_and_rows_with_their_source():
    theirs = Published("theirs", 70_000, 0.82, "8 / 20", "somewhere")
    [ax] = pictures.score_by_parameters(RECORDS, "dice", name="Dice", published=[theirs]).axes
    *_, mark = ax.collections
    assert np.allclose(mark.get_offsets(), [[70_000, 82]]) and len(mark.get_facecolor()) == 0
    assert "theirs" in [t.get_text() for t in ax.texts]
    row = pictures.published_table([theirs]).splitlines()[-1]
    assert row == "| theirs | 70\u202f000 | 82.0 | 8\u00a0/\u00a020 | somewhere |"
    assert all(p.source and p.split and 0.7 < p.dice < 0.9 for p in CHASE_DB1)


def test_scores_by_steps_tell_long_runs_from_short_ones():
    def run(steps, profile, dice, seed=0):
        return {**record("vessels-pdegcnn12", seed, dice), "profile": profile, "training": {"steps": steps}}

    records = [
        run(3000, "long", 0.8),
        run(600, "full", 0.7),
        run(600, "full", 0.6, 1),
        run(1500, "long", 0.75),
    ]
    [ax] = pictures.score_by_steps(records, lambda r: r["metrics"]["dice"], name="Dice").axes
    line, *marks, _ = ax.lines
    assert line.get_xdata().tolist() == [600, 1500, 3000] and np.allclose(line.get_ydata(), [65, 75, 80])
    assert line.get_linestyle() == "--"
    assert [m.get_markerfacecolor() == "white" for m in marks] == [True, False, False]


def test_scores_by_size_are_sorted_by_size():
    records = [
        record("vessels-pdegcnn6", s, d, images=n) for n, s, d in ((5, 0, 0.6), (1, 0, 0.4), (1, 1, 0.5))
    ]
    [ax] = pictures.score_by_size(
        records, "dice", name="Dice", size=lambda r: r["data"]["images"], unit="images"
    ).axes
    [line] = ax.lines
    assert line.get_xdata().tolist() == [1, 5] and np.allclose(line.get_ydata(), [45, 60])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "5"]


def test_curves():
    [ax] = pictures.accuracy_by_angle(RECORDS).axes
    assert np.allclose(ax.lines[0].get_xydata(), [[0, 72], [30, 50], [60, 50], [90, 72], [360, 72]])
    [ax] = pictures.training_curves(RECORDS).axes
    assert np.allclose(ax.lines[0].get_ydata(), [0.64, 0.28]) and ax.lines[0].get_xdata().tolist() == [5, 10]


def test_every_pixel_gets_its_verdict():
    predicted = torch.tensor([[1, 1, 0, 0, 1]], dtype=torch.bool)
    truth = torch.tensor([[1, 0, 1, 0, 0]], dtype=torch.bool)
    field = torch.tensor([[1, 1, 1, 1, 0]], dtype=torch.bool)
    picture = viz.verdicts(predicted, truth, field)[0]
    colors = [plt.matplotlib.colors.to_hex(c).upper() for c in picture]
    assert colors == [VERDICTS["found"], VERDICTS["made up"], VERDICTS["missed"], "#000000", "#000000"]


def test_grey_pictures_use_the_range_of_the_field():
    image, field = torch.randn(50, 50), torch.zeros(50, 50, dtype=torch.bool)
    field[10:40, 10:40] = True
    shown = viz.grey(image + 1000 * ~field, field)
    assert (
        shown.min() == 0
        and shown.max() == 1
        and (shown[:10] == 0).all()
        and 0.3 < shown[20:30, 10:40].mean() < 0.7
    )
    figure = viz.segmentations([{"image": shown, "verdict": viz.verdicts(field, field, field)}])
    assert [ax.get_title() for ax in figure.axes] == ["image", "verdict"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(VERDICTS)
