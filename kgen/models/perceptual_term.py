"""What a network says of pictures, as a term of a loss that `compile` chooses."""

from __future__ import annotations

import warnings

from kgen.losses import PerceptualLoss
from kgen.metrics.feature_extractor import FeatureExtractor


class PerceptualTerm:
    """`weight` times a `kgen.losses.PerceptualLoss`.

    Args:
        owner: name that errors and warnings begin with.
        perceptual: a `PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as "efficientnet_lite0".
        weight: of it in the loss.

    Raises:
        TypeError: if `perceptual` is nothing of this.
        ValueError: for an unknown name, or a negative weight.

    Example:

    ```python
    PerceptualTerm.of("VAE", "efficientnet_lite0", 10.0).loss(clean, drawn)      # (batch,), of pictures in [0, 1]
    ```
    """

    def __init__(self, owner, perceptual, weight):
        self.owner = owner
        self.argument = perceptual
        self.weight = weight
        if not isinstance(perceptual, PerceptualLoss):
            perceptual = PerceptualLoss(FeatureExtractor.of(perceptual))
        self.perceptual = perceptual

    @classmethod
    def of(cls, owner, perceptual, weight):
        """The term that the arguments of `compile` ask for; None where `perceptual` is None."""
        if weight < 0:
            raise ValueError(f"{owner}.compile: perceptual_weight must not be negative; got {weight}.")
        return None if perceptual is None else cls(owner, perceptual, weight)

    def loss(self, real, generated):
        """`(batch,)` of two tensors `(batch, height, width, channels)` in [0, 1]."""
        return self.weight * self.perceptual.loss(real, generated)

    def get_config(self):
        """The arguments of `compile` that choose it; a loss without a name is left out, with a warning."""
        named = isinstance(self.argument, str)
        if not named:
            warnings.warn(f"{self.owner}: a perceptual loss that has no name is not saved.", stacklevel=3)
        return {"perceptual": self.argument, "perceptual_weight": self.weight} if named else {}
