"""The networks that a page runs, as data; `tests/browser` runs them."""

import json

import pytest

from pdegcnn_lib import models
from pdegcnn_lib.companion import browser, data
from pdegcnn_lib.companion.experiments import weights_path


def saved(folder, model, **options):
    """A result of a network that nobody trained."""
    from safetensors.torch import save_file

    built = models.build(model, **options)
    record = {
        "model": model,
        "in_channels": 1,
        "options": options,
        "parameters": models.parameter_count(built),
        "preparation": data.Preparation("lines", "grey").record,
    }
    result = folder / "net.json"
    result.write_text(json.dumps(record))
    save_file(built.state_dict(), weights_path(result))
    return result


@pytest.mark.parametrize("orientations", [4, 8])
def test_a_page_has_the_orientations_of_the_network(tmp_path, orientations):
    found = browser.network(saved(tmp_path, "vessels-pdegcnn3", orientations=orientations), "small")
    assert found["orientations"] == orientations
    assert found["steps"][0]["outputs"] == 16 * orientations
    assert found["steps"][1]["step"] == "shift"


def test_a_network_that_a_page_cannot_run_is_refused(tmp_path):
    with pytest.raises(TypeError, match="a page runs PDE-G-CNNs"):
        browser.network(saved(tmp_path, "vessels-cnn3-narrow"), "small")
