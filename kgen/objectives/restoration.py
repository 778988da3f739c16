"""The objective of a model that restores images."""

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


class Restoration:
    """Degrades clean images, and asks the network for what they were; `ImageRestorer.compile` makes one.

    What it trains: `model.network`, and `model.discriminator` if there is one.

    Args:
        loss, perceptual, perceptual_weight, adversarial_loss, penalties, adversarial_weight: as in
            `ImageRestorer.compile`.
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
        self.adversarial_weight = checks.number(
            "ImageRestorer.compile", "adversarial_weight", adversarial_weight, least=0
        )

    def attach(self, model: Any) -> None:
        """Takes the networks of a model."""
        self.model = model
        automatic = isinstance(self.loss, str) and self.loss == "auto"
        self.pixel_loss = losses.get("pixel loss", "l1" if automatic else self.loss)
        self.perceptual_term = PerceptualTerm.of("ImageRestorer", self.perceptual, self.perceptual_weight)
        self.adversary: Any = None
        if model.discriminator is not None:
            self.adversary = Adversary(model.discriminator, self.adversarial_loss, self.penalties)
        elif (self.adversarial_loss, self.penalties) != ("auto", "auto"):
            raise ValueError(
                "ImageRestorer.compile: adversarial_loss and penalties are a discriminator's; this model was built "
                "without one."
            )

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """Adam; with less momentum for the discriminator."""
        return keras.optimizers.Adam(1e-3) if phase == "network" else keras.optimizers.Adam(4e-4, beta_1=0.5)

    def phases(self) -> list[Phase]:
        """The discriminator if there is one, then the network."""
        names = ["perceptual"] * (self.perceptual_term is not None) + ["adversarial"] * (self.adversary is not None)
        terms = ("pixels", *names) if names else ()
        variables = self.model.network.trainable_variables
        network = Phase("network", self.network_loss, variables, terms=terms, measures=("psnr",))
        return [network] if self.adversary is None else [self.adversary.phase(self.discriminator_loss), network]

    def attempt(self, batch: dict[str, Tensor], training: bool) -> tuple[Tensor, Tensor]:
        """Clean images and what is made of degraded ones, both in [0, 1]."""
        model = self.model
        clean = 0.5 * batch["images"] + 0.5
        degraded = model.degraded(clean, model.seeds(training))
        return clean, model.restored(degraded, model.network if training else model.average, training)

    def network_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The terms that `compile` asked for, and PSNR."""
        clean, restored = self.attempt(batch, training)
        psnr = peak_signal_to_noise_ratio(255.0 * clean, 255.0 * ops.clip(ops.stop_gradient(restored), 0.0, 1.0))
        parts = {"pixels": self.pixel_loss.loss(clean, restored)}
        if self.perceptual_term is not None:
            parts["perceptual"] = self.perceptual_term.loss(clean, restored)
        if self.adversary is not None:
            fake, seeds = 2.0 * restored - 1.0, self.model.seeds(training)
            word = self.adversary.generator_loss(batch["images"], fake, {}, training, seeds)
            parts["adversarial"] = self.adversarial_weight * word
        if len(parts) == 1:
            parts = {"loss": parts["pixels"]}
        return {**parts, "psnr": psnr}

    def discriminator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The adversary's loss on clean images and on restored ones."""
        _, restored = self.attempt(batch, training)
        fake, seeds = 2.0 * restored - 1.0, self.model.seeds(training)
        step = self.model.average.updates
        return self.adversary.discriminator_loss(batch["images"], fake, {}, training, seeds, step)
