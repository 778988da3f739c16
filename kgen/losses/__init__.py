"""Loss formulas: functions of tensors that give one value per sample. They know nothing about models or replicas."""

from __future__ import annotations

from typing import Any

from kgen.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    SeparableLoss,
    Wasserstein,
    pair_accuracy,
)
from kgen.losses.classification import distillation, label_accuracy, label_cross_entropy
from kgen.losses.contrastive import ContrastiveLoss, InfoNCE, SigmoidContrastive, matching_accuracy
from kgen.losses.divergence import active_units, gaussian_kl, maximum_mean_discrepancy
from kgen.losses.mixup import Mixup
from kgen.losses.penalties import R1, R2, Dragan, GradientPenalty, Penalty
from kgen.losses.perceptual import PerceptualLoss, feature_matching
from kgen.losses.pixel import L1, L2, Charbonnier, PixelLoss
from kgen.losses.reconstruction import (
    DiscretizedLogistic,
    Logistic,
    Reconstruction,
    decoded_shape,
    reconstruction_of,
)
from kgen.losses.reconstruction_densities import Gaussian, Laplace, LearnedGaussian, OptimalGaussian, PixelGaussian
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
    "decoded_shape",
    "reconstruction_of",
]

# Short names, as in Keras for optimizers and activations; then the attributes that any other object needs.
_NAMED: dict[str, dict[str, type]] = {
    "adversarial loss": {
        "non_saturating": NonSaturating,
        "minimax": Minimax,
        "least_squares": LeastSquares,
        "hinge": Hinge,
        "wasserstein": Wasserstein,
        "relativistic": Relativistic,
    },
    "reconstruction loss": {
        "logistic": Logistic,
        "bernoulli": Logistic,
        "gaussian": Gaussian,
        "learned_gaussian": LearnedGaussian,
        "optimal_gaussian": OptimalGaussian,
        "pixel_gaussian": PixelGaussian,
        "laplace": Laplace,
        "discretized_logistic": DiscretizedLogistic,
    },
    "penalty": {"r1": R1, "r2": R2, "gradient_penalty": GradientPenalty, "dragan": Dragan},
    "mixing": {"mixup": Mixup},
    "pixel loss": {"l1": L1, "l2": L2, "charbonnier": Charbonnier},
    "contrastive loss": {"info_nce": InfoNCE, "sigmoid_contrastive": SigmoidContrastive},
}
_NEEDED = {
    "adversarial loss": ("generator", "discriminator"),
    "reconstruction loss": ("loss", "mean"),
    "penalty": ("points", "cost", "every"),
    "mixing": ("mixed",),
    "pixel loss": ("loss",),
    "contrastive loss": ("loss", "initial_scale", "largest_scale", "initial_bias"),
}


def get(kind: str, identifier: Any) -> Any:
    """Returns the loss, penalty or mixing of a short name, or the object itself.

    Args:
        kind: `"adversarial loss"`, `"reconstruction loss"`, `"penalty"`, `"mixing"`, `"pixel loss"` or
            `"contrastive loss"`.
        identifier: a short name such as `"non_saturating"`, or an object with the attributes that this kind needs.

    Raises:
        ValueError: for an unknown name, or an object without these attributes.

    Example:

    ```python
    kgen.losses.get("penalty", "r1")      # R1(1.0)
    ```
    """
    named, needed = _NAMED[kind], _NEEDED[kind]
    if isinstance(identifier, str):
        if identifier not in named:
            raise ValueError(f"kgen.losses: unknown {kind} {identifier!r}; choose from {sorted(named)}.")
        return named[identifier]()
    if isinstance(identifier, type) or not all(hasattr(identifier, name) for name in needed):
        raise ValueError(
            f"kgen.losses: the {kind} must be one of {sorted(named)} or an object with {', '.join(needed)}; got "
            f"{identifier!r}."
        )
    return identifier
