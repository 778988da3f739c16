"""How like an image is what a network made of it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import checks, losses
from kgen.metrics import peak_signal_to_noise_ratio
from kgen.objectives.adversary import Adversary
from kgen.objectives.perceptual_term import PerceptualTerm
from kgen.training import Phase
from kgen.types import Tensor


class Likeness:
    """Pixels, features of a network, and the word of a discriminator: what images are compared by, each if asked for.

    Args:
        model: gives a `discriminator`, or None, and an `average` that counts steps; errors name its class.
        loss: of pixels in [0, 1]: a `kgen.losses.PixelLoss` or its short name; "auto" is "l1".
        perceptual: a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes; None for none.
        perceptual_weight: of it beside the loss of pixels.
        adversarial_loss, penalties: for the discriminator; see `GAN.compile`.
        adversarial_weight: of convincing the discriminator, beside the loss of pixels.

    Raises:
        ValueError: for an unknown loss, a negative weight, or arguments of a discriminator that there is not.

    Example:

    ```python
    likeness = Likeness(model, "l1", None, 0.1, "auto", "auto", 0.01)
    likeness.parts(images, restored, training=True)     # {"pixels": (batch,), "psnr": (batch,)}
    ```
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        perceptual: Any,
        perceptual_weight: float,
        adversarial_loss: Any,
        penalties: Any,
        adversarial_weight: float,
    ):
        owner = type(model).__name__
        self.model = model
        self.weight = checks.number(f"{owner}.compile", "adversarial_weight", adversarial_weight, least=0)
        automatic = isinstance(loss, str) and loss == "auto"
        self.pixel_loss = losses.get("pixel loss", "l1" if automatic else loss)
        self.perceptual = PerceptualTerm.of(owner, perceptual, perceptual_weight)
        self.adversary: Any = None
        if model.discriminator is not None:
            self.adversary = Adversary(model.discriminator, adversarial_loss, penalties)
        elif (adversarial_loss, penalties) != ("auto", "auto"):
            raise ValueError(
                f"{owner}.compile: adversarial_loss and penalties are a discriminator's; this model was built without "
                "one."
            )

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of `parts`."""
        names = {"perceptual": self.perceptual, "adversarial": self.adversary}
        return ("pixels", *(name for name, part in names.items() if part is not None))

    def phases(self, phase: Phase, discriminator_loss: Any) -> list[Phase]:
        """The discriminator's phase, if there is one, then the network's."""
        return [phase] if self.adversary is None else [self.adversary.phase(discriminator_loss), phase]

    @staticmethod
    def discriminator_optimizer() -> keras.optimizers.Optimizer:
        """Adam with little momentum."""
        return keras.optimizers.Adam(4e-4, beta_1=0.5)

    def parts(self, images: Tensor, made: Tensor, training: bool) -> dict[str, Tensor]:
        """The terms, and `psnr` in dB, each `(batch,)`, of images in [-1, 1] and of what was made of them."""
        clean, restored = 0.5 * images + 0.5, 0.5 * made + 0.5
        parts = {"pixels": self.pixel_loss.loss(clean, restored)}
        if self.perceptual is not None:
            parts["perceptual"] = self.perceptual.loss(clean, restored)
        if self.adversary is not None:
            word = self.adversary.generator_loss(images, made, {}, training, self.model.seeds(training))
            parts["adversarial"] = self.weight * word
        seen = 255.0 * ops.clip(ops.stop_gradient(restored), 0.0, 1.0)
        return {**parts, "psnr": peak_signal_to_noise_ratio(255.0 * clean, seen)}

    def discriminator_loss(self, images: Tensor, made: Tensor, training: bool) -> dict[str, Tensor]:
        """The adversary's loss on images and on what was made of them."""
        seeds, step = self.model.seeds(training), self.model.average.updates
        return self.adversary.discriminator_loss(images, made, {}, training, seeds, step)
