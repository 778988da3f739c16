"""What every objective has."""

from __future__ import annotations

from typing import Any

import keras

from kgen.training import Phase
from kgen.types import Tensor


class Objective:
    """What a model minimises: the phases of a training step, on the networks of the model that it is attached to.

    A subclass defines `phases()`. If the model has a discriminator, `attach` makes the `adversary`.
    """

    def attach(self, model: Any) -> None:
        """Takes the networks of a model, which the other methods use."""
        self.model = model
        self.adversary: Any = None

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """Adam; with less momentum and a lower rate for a discriminator, which learns next to other losses."""
        if phase == "discriminator":
            return keras.optimizers.Adam(4e-4, beta_1=0.5)
        return keras.optimizers.Adam(1e-3)

    def after_discriminator(self, *phases: Phase) -> list[Phase]:
        """The phase of the discriminator, if there is one, then these."""
        return [*phases] if self.adversary is None else [self.adversary.phase(self.discriminator_loss), *phases]

    def discriminator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """L_D, the penalties and the measures, on real images and on images generated from the prior."""
        return self.adversary.loss_on_draws(self.model, batch, training)
