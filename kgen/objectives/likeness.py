"""How like an image is what a network made of it."""

from __future__ import annotations

from typing import Any

from keras import ops

from kgen import checks, losses
from kgen.metrics import peak_signal_to_noise_ratio
from kgen.objectives.adversary import Adversary
from kgen.objectives.perceptual_term import PerceptualTerm
from kgen.serializable import serializable
from kgen.training import Phase
from kgen.types import Tensor


@serializable
class Likeness:
    """Pixels, features of a network, and the word of a discriminator: what images are compared by, each if asked for.

    Args:
        loss: of pixels in [0, 1]: "l1", "l2", "charbonnier" or a `kgen.losses.PixelLoss`; "auto" is "l1".
        perceptual: a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as
            "efficientnet_lite0", for sharper images; None for none. Only a name is saved with a model.
        perceptual_weight: of it beside the loss of pixels.
        adversarial_loss, penalties: for the discriminator; see `loss` and `penalties` of `GAN.compile`.
        adversarial_weight: of convincing the discriminator, beside the loss of pixels.

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
        """Takes the discriminator of a model, or None, and the `average` that counts its steps.

        Raises:
            ValueError: for an unknown loss, a negative weight, or arguments of a discriminator that there is not.
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
                f"{owner}.compile: adversarial_loss and penalties are a discriminator's; this model was built without "
                "one."
            )

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of `parts`."""
        names = {"perceptual": self.perceptual_term, "adversarial": self.adversary}
        return ("pixels", *(name for name, part in names.items() if part is not None))

    def phases(self, phase: Phase, discriminator_loss: Any) -> list[Phase]:
        """The discriminator's phase, if there is one, then the network's."""
        return [phase] if self.adversary is None else [self.adversary.phase(discriminator_loss), phase]

    def parts(self, images: Tensor, made: Tensor, training: bool) -> dict[str, Tensor]:
        """The terms, and `psnr` in dB, each `(batch,)`, of images in [-1, 1] and of what was made of them."""
        clean, restored = 0.5 * images + 0.5, 0.5 * made + 0.5
        parts = {"pixels": self.pixel_loss.loss(clean, restored)}
        if self.perceptual_term is not None:
            parts["perceptual"] = self.perceptual_term.loss(clean, restored)
        if self.adversary is not None:
            word = self.adversary.generator_loss(images, made, {}, training, self.model.seeds(training))
            parts["adversarial"] = self.adversarial_weight * word
        seen = 255.0 * ops.clip(ops.stop_gradient(restored), 0.0, 1.0)
        return {**parts, "psnr": peak_signal_to_noise_ratio(255.0 * clean, seen)}

    def discriminator_loss(self, images: Tensor, made: Tensor, training: bool) -> dict[str, Tensor]:
        """The adversary's loss on images and on what was made of them."""
        seeds, step = self.model.seeds(training), self.model.average.updates
        return self.adversary.discriminator_loss(images, made, {}, training, seeds, step)
