"""Formulas: functions of tensors that give one value per sample. They know nothing of models or replicas."""

from kgen.losses.adversarial import AdversarialLoss, NonSaturating
from kgen.losses.divergence import gaussian_kl
from kgen.losses.penalties import R1, Penalty
from kgen.losses.reconstruction import Gaussian, Logistic, Reconstruction
from kgen.losses.registry import get

__all__ = [
    "R1",
    "AdversarialLoss",
    "Gaussian",
    "Logistic",
    "NonSaturating",
    "Penalty",
    "Reconstruction",
    "gaussian_kl",
    "get",
]
