"""Figures of merit of a segmentation, inside the field of view."""

from __future__ import annotations

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


def area_under_curve(score: Tensor, truth: Tensor, field: Tensor) -> float:
    """The area under the ROC curve of a score, over all pixels of the field of view together; 0.5 is chance.

    Raises: ValueError when only one class is there, ImportError without scikit-learn.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth[field].numpy(), score[field].double().numpy()))
