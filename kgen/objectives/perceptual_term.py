"""A perceptual loss as a term of an objective."""

from __future__ import annotations

from typing import Any

from kgen import checks
from kgen.losses import PerceptualLoss
from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.types import Tensor


class PerceptualTerm:
    """`weight` times a `kgen.losses.PerceptualLoss`.

    Args:
        perceptual: a `PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as "efficientnet_lite0".
        weight: weight of the term in the loss.

    Raises:
        TypeError: if `perceptual` is something else.
        ValueError: for an unknown name.

    Example:

    ```python
    PerceptualTerm("efficientnet_lite0", 10.0).loss(clean, generated)      # (batch,), of images in [0, 1]
    ```
    """

    def __init__(self, perceptual: Any, weight: float):
        self.weight = weight
        if not isinstance(perceptual, PerceptualLoss):
            perceptual = PerceptualLoss(FeatureExtractor.of(perceptual))
        self.perceptual = perceptual

    @classmethod
    def of(cls, owner: str, perceptual: Any, weight: float) -> PerceptualTerm | None:
        """The term that the arguments of `compile` ask for; None if `perceptual` is None."""
        checks.number(f"{owner}.compile", "perceptual_weight", weight, least=0)
        return None if perceptual is None else cls(perceptual, weight)

    def loss(self, real: Tensor, generated: Tensor) -> Tensor:
        """`(batch,)` from two tensors `(batch, height, width, channels)` in [0, 1]."""
        return self.weight * self.perceptual.loss(real, generated)
