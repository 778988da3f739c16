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
from kgen.losses.classification import distillation, label_accuracy, label_cross_entropy
from kgen.losses.continuous_likelihoods import (
    Gaussian,
    Laplace,
    LearnedGaussian,
    OptimalGaussian,
    PixelGaussian,
)
from kgen.losses.contrastive import ContrastiveLoss, InfoNCE, SigmoidContrastive, matching_accuracy
from kgen.losses.divergence import active_units, gaussian_kl, maximum_mean_discrepancy
from kgen.losses.feature_matching import feature_matching
from kgen.losses.mixup import Mixup
from kgen.losses.pair_accuracy import pair_accuracy
from kgen.losses.penalties import R1, R2, Dragan, GradientPenalty, Penalty
from kgen.losses.perceptual import PerceptualLoss
from kgen.losses.pixel import L1, L2, Charbonnier, PixelLoss
from kgen.losses.reconstruction import DiscretizedLogistic, Logistic, Reconstruction
from kgen.losses.registry import get
from kgen.losses.segmentation import dice, pixel_cross_entropy
from kgen.losses.style import content_loss, gram_loss, gram_matrix, style_loss

__all__ = [
    "L1",
    "L2",
    "R1",
    "R2",
    "AdversarialLoss",
    "Charbonnier",
    "ContrastiveLoss",
    "DiscretizedLogistic",
    "Dragan",
    "Gaussian",
    "GradientPenalty",
    "Hinge",
    "InfoNCE",
    "Laplace",
    "LeastSquares",
    "Logistic",
    "Minimax",
    "Mixup",
    "NonSaturating",
    "LearnedGaussian",
    "OptimalGaussian",
    "Penalty",
    "PerceptualLoss",
    "PixelGaussian",
    "PixelLoss",
    "Reconstruction",
    "Relativistic",
    "SeparableLoss",
    "SigmoidContrastive",
    "Wasserstein",
    "active_units",
    "content_loss",
    "dice",
    "distillation",
    "feature_matching",
    "gaussian_kl",
    "get",
    "gram_loss",
    "gram_matrix",
    "label_accuracy",
    "label_cross_entropy",
    "matching_accuracy",
    "maximum_mean_discrepancy",
    "pair_accuracy",
    "pixel_cross_entropy",
    "style_loss",
]
