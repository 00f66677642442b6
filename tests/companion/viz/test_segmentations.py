"""Components in colour: the largest first, a mean where two pass, grey for dust."""

import numpy as np
import torch
from matplotlib.colors import to_rgb

from pdegcnn_lib.companion import viz
from pdegcnn_lib.companion.viz.style import COLORS


def test_components_have_colours_by_size_and_share_a_crossing():
    labels = torch.zeros(2, 5, 6, dtype=torch.int64)
    labels[0, 2, 1:], labels[1, :4, 3], labels[0, 0, 0] = 7, 3, 9
    mask = (labels > 0).any(0)
    picture = viz.components(mask, labels, least=2)
    first, second = (np.array(to_rgb(COLORS[name])) for name in ("orange", "sky"))
    np.testing.assert_allclose(picture[2, 1], first)
    np.testing.assert_allclose(picture[0, 3], second)
    np.testing.assert_allclose(picture[2, 3], (first + second) / 2)
    np.testing.assert_allclose(picture[0, 0], 0.3)
    assert (picture[~mask] == 0).all()
    assert (viz.components(mask, torch.zeros_like(labels))[mask] == 0.3).all()
