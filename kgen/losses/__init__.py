"""Formulas: functions of tensors that give one value per sample. They know nothing of models or replicas."""

from kgen.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    SeparableLoss,
    Wasserstein,
)
from kgen.losses.classification import label_accuracy, label_cross_entropy
from kgen.losses.divergence import gaussian_kl
from kgen.losses.feature_matching import feature_matching
from kgen.losses.mixup import Mixup
from kgen.losses.pair_accuracy import pair_accuracy
from kgen.losses.penalties import R1, R2, Dragan, GradientPenalty, Penalty
from kgen.losses.reconstruction import Gaussian, Logistic, Reconstruction
from kgen.losses.registry import get

__all__ = [
    "R1",
    "R2",
    "AdversarialLoss",
    "Dragan",
    "Gaussian",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "Logistic",
    "Minimax",
    "Mixup",
    "NonSaturating",
    "Penalty",
    "Reconstruction",
    "Relativistic",
    "SeparableLoss",
    "Wasserstein",
    "feature_matching",
    "gaussian_kl",
    "get",
    "label_accuracy",
    "label_cross_entropy",
    "pair_accuracy",
]
