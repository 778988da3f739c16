"""How similar a network's output is to an image."""

from __future__ import annotations

from typing import Any

from keras import ops

from kgen import checks, losses
from kgen.metrics.image_errors import decibels
from kgen.objectives.adversary import Adversary
from kgen.objectives.perceptual_term import PerceptualTerm
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Likeness:
    """Compares images by their pixels and, if asked, by features of a network and by a discriminator.

    Args:
        loss: loss on pixels in [0, 1]: "l1", "l2", "charbonnier" or a `kgen.losses.PixelLoss`; "auto" is "l1".
        perceptual: a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as
            "efficientnet_lite0", for sharper images; None for none. Only a name is saved with a model.
        perceptual_weight: weight of the perceptual loss, relative to the pixel loss.
        adversarial_loss, penalties: for the discriminator; see `loss` and `penalties` of `GAN.compile`.
        adversarial_weight: weight of the adversarial loss, relative to the pixel loss.

    Example:

    ```python
    objective = kgen.objectives.PerceptualCompression(kgen.objectives.Likeness(perceptual="efficientnet_lite0"))
    ```
    """

    def __init__(
        self,
        loss: Any = "auto",
        perceptual: Any = None,
        perceptual_weight: float = 0.1,
        adversarial_loss: Any = "auto",
        penalties: Any = "auto",
        adversarial_weight: float = 0.01,
    ):
        self.loss = loss
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight
        self.adversarial_loss = adversarial_loss
        self.penalties = penalties
        self.adversarial_weight = adversarial_weight

    def attach(self, model: Any) -> None:
        """Takes a model's discriminator, which may be None, and its `average`, which counts steps.

        Raises:
            ValueError: for an unknown loss, a negative weight, or discriminator arguments without a discriminator.
        """
        owner = type(model).__name__
        self.model = model
        checks.number(f"{owner}.compile", "adversarial_weight", self.adversarial_weight, least=0)
        automatic = isinstance(self.loss, str) and self.loss == "auto"
        self.pixel_loss = losses.get("pixel loss", "l1" if automatic else self.loss)
        self.perceptual_term = PerceptualTerm.of(owner, self.perceptual, self.perceptual_weight)
        self.adversary: Any = None
        if model.discriminator is not None:
            self.adversary = Adversary(model.discriminator, self.adversarial_loss, self.penalties)
        elif (self.adversarial_loss, self.penalties) != ("auto", "auto"):
            raise ValueError(
                f"{owner}.compile: adversarial_loss and penalties need a discriminator; this model was built "
                "without one."
            )

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of `parts`."""
        names = {"perceptual": self.perceptual_term, "adversarial": self.adversary}
        return ("pixels", *(name for name, part in names.items() if part is not None))

    def parts(self, images: Tensor, made: Tensor, training: bool) -> dict[str, Tensor]:
        """The terms, and `psnr` in dB, each `(batch,)`, of images in [-1, 1] and a network's versions of them."""
        clean, restored = 0.5 * images + 0.5, 0.5 * made + 0.5
        parts = {"pixels": self.pixel_loss.loss(clean, restored)}
        if self.perceptual_term is not None:
            parts["perceptual"] = self.perceptual_term.loss(clean, restored)
        if self.adversary is not None:
            doubt = self.adversary.generator_loss(images, made, {}, training, self.model.seeds(training))
            parts["adversarial"] = self.adversarial_weight * doubt
        seen = ops.clip(ops.stop_gradient(restored), 0.0, 1.0)
        # Of any number of channels.
        return {**parts, "psnr": decibels(ops.mean(ops.square(clean - seen), axis=(1, 2, 3)))}

    def discriminator_loss(self, images: Tensor, made: Tensor, training: bool) -> dict[str, Tensor]:
        """The adversary's loss on images and on a network's versions of them."""
        seeds, step = self.model.seeds(training), self.model.average.updates
        return self.adversary.discriminator_loss(images, made, {}, training, seeds, step)
