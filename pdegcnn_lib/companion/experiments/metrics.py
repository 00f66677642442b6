"""Figures of merit of a segmentation, inside the field of view."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def dice(predicted: Tensor, truth: Tensor, field: Tensor) -> float:
    r"""The Dice coefficient $2|P \cap T| / (|P| + |T|)$ of two masks inside a third; 1 when both are empty."""
    p, t = predicted & field, truth & field
    total = int(p.sum() + t.sum())
    return 2 * int((p & t).sum()) / total if total else 1.0


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    r"""The continuous Dice loss $1 - (2 \sum p\,t + 1) / (\sum p + \sum t + 1)$ over the whole batch.

    p is the probability, t the mask of 0 and 1; the 1 keeps an empty batch from dividing by 0. Shapes: alike -> `[]`.
    """
    p = torch.sigmoid(logits.float())
    return 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)


def coverage_loss(logits: Tensor, coverage: Tensor) -> Tensor:
    r"""The Dice loss with squares, $1 - (2 \sum p\,c + 1) / (\sum p^2 + \sum c^2 + 1)$, over the whole batch.

    p is the probability, c the part of a pixel that the mask covers, in [0, 1]. It is least, 0, where p = c, while
    `dice_loss` is least for a p of zeros and ones. Shapes: alike -> `[]`.
    Source: Milletari, Navab and Ahmadi, V-Net (3DV 2016).
    """
    p = torch.sigmoid(logits.float())
    return 1 - (2 * (p * coverage).sum() + 1) / (p.square().sum() + coverage.square().sum() + 1)


def centreline_dice(predicted: Tensor, truth: Tensor, field: Tensor) -> float:
    r"""The centreline Dice $2PS/(P + S)$, which sees broken vessels: 1 when both masks are empty.

    P is the part of the skeleton of the prediction that lies in the truth, S the part of the skeleton of the truth that
    the prediction covers. Shapes: bool `[1, H, W]` each. Raises: ImportError without scikit-image.
    Source: Shit et al., clDice (CVPR 2021).
    """
    from skimage.morphology import skeletonize

    p, t = ((mask & field)[0].numpy() for mask in (predicted, truth))
    if not (p.any() or t.any()):
        return 1.0
    lines_p, lines_t = skeletonize(p), skeletonize(t)
    precision = int((lines_p & t).sum()) / max(1, int(lines_p.sum()))
    sensitivity = int((lines_t & p).sum()) / max(1, int(lines_t.sum()))
    return 2 * precision * sensitivity / max(precision + sensitivity, 1e-12)


def best_threshold(
    probabilities: Iterable[Tensor], truths: Iterable[Tensor], fields: Iterable[Tensor]
) -> float:
    """The threshold among 0.01, 0.02, ..., 0.99 with the highest mean Dice over images, the lowest of equals.

    A pixel is taken where its probability is at least the threshold.
    """
    grid = torch.arange(1, 100) / 100
    found = torch.zeros(len(grid), dtype=torch.float64)
    for p, truth, field in zip(probabilities, truths, fields, strict=True):
        # The number of thresholds that a pixel passes, then how many pixels pass each.
        passed = torch.bucketize(p[field], grid, right=True)
        counts = [
            torch.bincount(n, minlength=len(grid) + 1).flip(0).cumsum(0).flip(0)[1:].double()
            for n in (passed, passed[truth[field]])
        ]
        sizes = counts[0] + int(truth[field].sum())
        found += torch.where(sizes > 0, 2 * counts[1] / sizes.clamp(min=1), torch.ones_like(sizes))
    return round(float(grid[found.argmax()]), 2)


def confusion(predicted: Tensor, truth: Tensor, field: Tensor) -> dict[str, float]:
    """Accuracy, sensitivity and specificity of a mask inside the field of view, over all its pixels together."""
    p, t = predicted[field], truth[field]
    hits, misses = int((p & t).sum()), int((~p & t).sum())
    alarms, rejections = int((p & ~t).sum()), int((~p & ~t).sum())
    return {
        "accuracy": (hits + rejections) / max(1, hits + misses + alarms + rejections),
        "sensitivity": hits / max(1, hits + misses),
        "specificity": rejections / max(1, rejections + alarms),
    }


def check_classes(truth: Tensor, field: Tensor) -> None:
    """Raises: ValueError where the pixels of the field of view are all of one class, so that no curve has an area."""
    if truth[field].all() or not truth[field].any():
        raise ValueError("truth must have pixels of both classes inside the field of view, got one class")


def area_under_curve(score: Tensor, truth: Tensor, field: Tensor) -> float:
    """The area under the ROC curve of a score, over all pixels of the field of view together; 0.5 is chance.

    Raises: ValueError when only one class is there, ImportError without scikit-learn.
    """
    from sklearn.metrics import roc_auc_score

    check_classes(truth, field)
    return float(roc_auc_score(truth[field].numpy(), score[field].double().numpy()))
