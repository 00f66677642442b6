"""What networks cost is told as it was measured."""

from pdegcnn_lib.companion.experiments import pictures

WIDE = ("vessels-pdegcnn12-wide", "vessels-pdegcnn12", {"channels": 16})


def record(model: str, seed: int, dice: float, steps: int = 6000) -> dict:
    return {
        "variant": model,
        "model": model,
        "options": {},
        "seed": seed,
        "profile": "long",
        "metrics": {"dice": dice},
        "training": {"steps": steps},
    }


COST = {
    "provenance": {"device": "a processor"},
    "networks": [
        {
            "variant": variant,
            "model": model,
            "options": options,
            "parameters": parameters,
            "step_ms": {"median": ms},
            "photograph_ms": {"median": 10 * ms},
            "peak_mib": peak,
        }
        for (variant, model, options), parameters, ms, peak in (
            (("vessels-cnn6-narrow", "vessels-cnn6-narrow", {}), 25662, 50.0, 90.4),
            (("vessels-pdegcnn6", "vessels-pdegcnn6", {}), 2560, 200.0, None),
            (WIDE, 5152, 500.0, None),
        )
    ],
}


def test_costs_are_those_of_the_record():
    rows = pictures.cost_table(COST).splitlines()
    assert rows[2] == "| CNN, 6\u00a0layers | 25\u202f662 | 50 | 500 | 90 |" and rows[3].endswith(
        "| 200 | 2\u202f000 |  |"
    )
    assert rows[4].startswith("| PDE\u2011G\u2011CNN, 12\u00a0layers, wide | 5\u202f152 | 500 ")
    [ax] = pictures.cost_by_parameters(COST).axes
    assert sorted(tuple(c.get_offsets()[0]) for c in ax.collections) == [
        (2560.0, 200.0),
        (5152.0, 500.0),
        (25662.0, 50.0),
    ]


def test_the_minutes_of_a_training_are_its_steps_by_the_time_of_a_step():
    cnn, second = record("vessels-cnn6-narrow", 0, 0.70), record("vessels-cnn6-narrow", 1, 0.74)
    pde, longer = record("vessels-pdegcnn6", 0, 0.78), record("vessels-pdegcnn6", 0, 0.79, 12_000)
    wide = record("vessels-pdegcnn12", 0, 0.80) | dict(
        zip(("variant", "model", "options"), WIDE, strict=True)
    )
    rows = pictures.training_time_table([cnn, second, pde, wide], "dice", COST, name="Dice").splitlines()
    assert rows[0] == "| network | steps | minutes | seeds | Dice, % |"
    assert rows[2:] == [
        "| CNN, 6\u00a0layers | 6\u202f000 | 5 | 2 | 72.0\u00a0±\u00a02.8 |",
        "| PDE\u2011G\u2011CNN, 6\u00a0layers | 6\u202f000 | 20 | 1 | 78.0 |",
        "| PDE\u2011G\u2011CNN, 12\u00a0layers, wide | 6\u202f000 | 50 | 1 | 80.0 |",
    ]
    [ax] = pictures.score_by_minutes([longer, pde, cnn], "dice", COST, name="Dice").axes
    lines = [line for line in ax.lines if len(line.get_xdata()) and line.get_marker() == "None"]
    assert [line.get_xydata().tolist() for line in lines] == [[[20, 78], [40, 79]], [[5, 70]]]
    assert [t.get_text() for t in ax.get_legend().texts] == ["PDE-G-CNN, 6 layers", "CNN, 6 layers"]
