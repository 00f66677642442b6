"""The small U-Net: its size, any picture, and which translations it commutes with."""

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion import export


def test_it_keeps_the_size_of_any_picture():
    torch.manual_seed(0)
    model = models.build("vessels-unet", 3).eval()
    assert all(model(torch.rand(2, 3, h, w)).shape == (2, 1, h, w) for h, w in ((32, 32), (33, 50), (31, 47)))


@torch.no_grad()
def test_it_commutes_with_translations_by_four_pixels_and_not_by_one():
    torch.manual_seed(0)
    model = models.build("vessels-unet").eval()
    image = torch.zeros(1, 1, 96, 96)
    image[..., 40:56, 40:56] = torch.rand(16, 16)
    plain = model(image)
    inside = (..., slice(30, 66), slice(30, 66))  # what the border does not reach
    errors = [
        float((model(image.roll(n, -1)).roll(-n, -1) - plain)[inside].abs().max() / plain[inside].abs().max())
        for n in (4, 1)
    ]
    assert errors[0] < 1e-5 < 1e-2 < errors[1]


@torch.no_grad()
def test_a_picture_goes_on_mirrored_and_one_too_small_for_that_is_refused():
    torch.manual_seed(0)
    model = models.build("vessels-unet").eval()
    image = torch.rand(1, 1, 9, 14)
    whole = torch.nn.functional.pad(image, (0, 2, 0, 3), mode="reflect")
    assert torch.equal(model(image), model(whole)[..., :9, :14])
    with pytest.raises(ValueError, match=r"3 x 3 pixels at least, got \[1, 1, 8, 2\]"):
        model(torch.rand(1, 1, 8, 2))


@torch.no_grad()
@pytest.mark.parametrize("name", ["vessels-unet", "vessels-cnn6-narrow"])
@pytest.mark.parametrize("channels", [1, 3])
def test_features_lie_channels_last_and_weights_do_not(name, channels):
    torch.manual_seed(0)
    model = models.build(name, channels).eval()
    assert all(p.is_contiguous() for p in model.parameters())
    lies: list[bool] = []
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.register_forward_hook(
                lambda _part, given, _out: lies.append(
                    given[0].is_contiguous(memory_format=torch.channels_last)
                )
            )
    image = torch.rand(2, channels, 21, 18)
    found = model(image)
    assert lies and all(lies)
    model.to(memory_format=torch.channels_last)
    assert torch.equal(found, model(image))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_its_program_takes_the_sizes_that_pdegcnn_export_promises():
    torch.manual_seed(0)
    model = models.build("vessels-unet").eval()
    run, image = export.program(model, 1).module(), torch.rand(3, 1, 21, 18)
    # Features lie otherwise in memory, and sums of up to 576 products have another order.
    torch.testing.assert_close(run(image), model(image), rtol=1e-4, atol=1e-4)
