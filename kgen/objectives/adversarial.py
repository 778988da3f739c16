"""The objective of a GAN."""

from __future__ import annotations

from typing import Any

import keras

from kgen import checks
from kgen.objectives.adversary import Adversary
from kgen.objectives.objective import Objective
from kgen.serializable import serializable
from kgen.training import Phase
from kgen.types import Tensor


@serializable
class Adversarial(Objective):
    """Two players: the discriminator learns to tell real images from generated ones, the generator to deceive it.

        L_D = -log D(x) - log(1 - D(G(z))),    L_G = -log D(G(z))        [Goodfellow et al. 2014]

    or another adversarial loss, with penalties. Pass it to `TextToImage.compile(objective=...)`; `GAN.compile` makes
    one from its arguments, and explains them.

    What it trains: `model.generator` and `model.discriminator`.

    Args:
        loss, penalties, mixing, augmentation, discriminator_steps, classification_weight, feature_matching: as in
            `GAN.compile`.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, recipe="gan")
    model.compile(objective=kgen.objectives.Adversarial(loss="hinge", penalties="r1"))
    ```
    """

    # The phase that trains the network which generates.
    generating_phase = "generator"

    def __init__(
        self,
        loss: Any = "auto",
        penalties: Any = "auto",
        mixing: Any = None,
        augmentation: Any = None,
        discriminator_steps: int = 1,
        classification_weight: float = 1.0,
        feature_matching: float = 0.0,
    ):
        self.loss = loss
        self.penalties = penalties
        self.mixing = mixing
        self.augmentation = augmentation
        self.discriminator_steps = checks.integer("GAN.compile", "discriminator_steps", discriminator_steps)
        self.classification_weight = classification_weight
        self.feature_matching = feature_matching

    def attach(self, model: Any) -> None:
        """Takes the networks of a model, which the other methods use."""
        super().attach(model)
        model.space.check_objective(f"{type(model).__name__}.compile", augmentation=self.augmentation)
        self.adversary = Adversary(
            model.discriminator,
            self.loss,
            self.penalties,
            self.mixing,
            self.augmentation,
            self.classification_weight,
            self.feature_matching,
            model.adaptive_probability,
        )

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """Adam, fast because averaged weights generate, and without momentum, which makes two players go in circles."""
        return keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99)

    def phases(self) -> list[Phase]:
        """The discriminator, then the generator."""
        variables = self.model.generator.trainable_variables
        # With several discriminator steps, not every step trains the generator.
        forward = self.forward if self.discriminator_steps == 1 else None
        every = self.discriminator_steps
        generator = Phase("generator", self.generator_loss, variables, every, forward=forward)
        return self.after_discriminator(generator)

    def forward(self, batch: dict[str, Any], training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """`({"generated"}, {"real", "condition"})`: generated images, and the real ones with the condition of both."""
        real, condition = self.model.conditioned(batch, training)
        generated = self.model.sampler.generated(real, condition, training)
        return {"generated": generated}, {"real": real, "condition": condition}

    def discriminator_loss(self, batch: dict[str, Any], training: bool) -> dict[str, Tensor]:
        """L_D, the penalties and the measures, on real and generated images."""
        model = self.model
        real, fake, condition = self._images(batch, training)
        seeds, step = model.seeds(training), model.average.updates
        return self.adversary.discriminator_loss(real, fake, condition, training, seeds, step)

    def generator_loss(self, batch: dict[str, Any], training: bool) -> Tensor:
        """L_G on generated images."""
        real, fake, condition = self._images(batch, training)
        return self.adversary.generator_loss(real, fake, condition, training, self.model.seeds(training))

    def _images(self, batch, training):
        """Real images, generated ones and their condition: shared by both phases, or new."""
        if "generated" not in batch:
            made, beside = self.forward(batch, training)
            batch = {**made, **beside}
        return batch["real"], batch["generated"], batch["condition"]
