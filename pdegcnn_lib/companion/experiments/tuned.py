"""The settings of training for each family of networks, chosen on validation data with the same budget for each.

For every task the networks of each family are trained with all `CANDIDATES`, on a part of the training set and scored
on the rest of it; the test set plays no role. `best` picks from those results, and a test holds `TUNED` against what
it picks from the committed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

Settings = Mapping[str, object]

CANDIDATES: tuple[Settings, ...] = tuple(
    {"learning_rate": rate, "schedule": schedule}
    for schedule, rate in product(("cosine", "exponential"), (3e-3, 1e-2, 3e-2, 1e-1))
)

TUNED: dict[str, dict[str, Settings]] = {
    "digits": {
        "lenet": {"learning_rate": 1e-2, "schedule": "cosine"},
        "gcnn": {"learning_rate": 1e-2, "schedule": "cosine"},
        "pdegcnn": {"learning_rate": 3e-2, "schedule": "cosine"},
    },
    "vessels": {
        "cnn": {"learning_rate": 1e-2, "schedule": "cosine"},
        "gcnn": {"learning_rate": 3e-3, "schedule": "cosine"},
        "pdegcnn": {"learning_rate": 1e-1, "schedule": "cosine"},
    },
    "lines": {
        "cnn": {"learning_rate": 3e-2, "schedule": "cosine"},
        "gcnn": {"learning_rate": 1e-2, "schedule": "cosine"},
        "pdegcnn": {"learning_rate": 1e-1, "schedule": "cosine"},
    },
}


def label(model: str, settings: Settings) -> str:
    """What a tuning run is called."""
    return f"{model}-{settings['schedule']}-{settings['learning_rate']:g}"


def best(results: Iterable[dict[str, Any]], score: str) -> dict[str, Settings]:
    """For each network the candidate with the highest validation score, the first of equals."""
    found: dict[str, tuple[float, Settings]] = {}
    order = {label("", settings): n for n, settings in enumerate(CANDIDATES)}
    for result in sorted(results, key=lambda r: order[label("", r["training"])]):
        value = result["metrics"][score]
        if result["model"] not in found or value > found[result["model"]][0]:
            found[result["model"]] = (value, {k: result["training"][k] for k in CANDIDATES[0]})
    return {model: settings for model, (_, settings) in found.items()}
