"""The objective of a translation between two domains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kgen import checks, losses
from kgen.objectives.adversary import Adversary
from kgen.objectives.objective import Objective
from kgen.training import Phase
from kgen.types import Tensor


class CycleConsistency(Objective):
    """Adversarial losses both ways, and cycle losses for the way back; `CycleGAN.compile` makes one, and explains it.

    What it trains: both generators and both discriminators of a model.

    Args:
        loss, penalties, cycle_weight, identity_weight: as in `CycleGAN.compile`.
    """

    def __init__(
        self,
        loss: Any = "least_squares",
        penalties: Any = (),
        cycle_weight: float = 2.0,
        identity_weight: float = 1.0,
    ):
        self.loss = loss
        self.penalties = penalties
        self.cycle_weight = checks.number("CycleGAN.compile", "cycle_weight", cycle_weight, least=0)
        self.identity_weight = checks.number("CycleGAN.compile", "identity_weight", identity_weight, least=0)

    def attach(self, model: Any) -> None:
        """Takes the networks of a model."""
        super().attach(model)
        self.adversary = Adversary(model.discriminator, self.loss, self.penalties)
        self.inverse_adversary = Adversary(model.inverse_discriminator, self.loss, self.penalties)

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """Adam, with the paper's settings."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def phases(self) -> list[Phase]:
        """Both discriminators, then both generators."""
        model, judging = self.model, {"terms": self.adversary.terms, "measures": self.adversary.measures}
        judges = _variables(model.discriminator, model.inverse_discriminator)
        makers = _variables(model.generator, model.inverse_generator)
        terms = ("adversarial", "cycle", "identity") if self.identity_weight else ("adversarial", "cycle")
        return [
            Phase("discriminator", self.discriminator_loss, judges, **judging),
            Phase("generator", self.generator_loss, makers, terms=terms),
        ]

    def discriminator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The sum of both discriminators' losses, and the mean of their measures."""
        x, y, translate, invert = self._sides(batch, training)
        options: tuple = ({}, training, self.model.seeds(training), self.model.average.updates)
        first = self.inverse_adversary.discriminator_loss(x, invert(y), *options)
        second = self.adversary.discriminator_loss(y, translate(x), *options)
        shares = {name: 0.5 if name in self.adversary.measures else 1.0 for name in first}
        return {name: share * (first[name] + second[name]) for name, share in shares.items()}

    def generator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The adversarial, cycle and identity losses of both generators, each `(batch,)`."""
        x, y, translate, invert = self._sides(batch, training)
        there, back = translate(x), invert(y)
        options: tuple = ({}, training, self.model.seeds(training))
        doubt = self.adversary.generator_loss(y, there, *options)
        inverse_doubt = self.inverse_adversary.generator_loss(x, back, *options)
        cycle = losses.L1().loss(x, invert(there)) + losses.L1().loss(y, translate(back))
        parts = {"adversarial": doubt + inverse_doubt, "cycle": self.cycle_weight * cycle}
        if self.identity_weight:
            same = losses.L1().loss(y, translate(y)) + losses.L1().loss(x, invert(x))
            parts["identity"] = self.identity_weight * same
        return parts

    def _sides(self, batch, training) -> tuple[Tensor, Tensor, Callable, Callable]:
        """Images of both domains, and the functions that translate them."""
        y = self.model.image_input.second_of(batch, self.model.seeds(training))
        return batch["images"], y, *self.model.translators(training)


def _variables(*networks):
    return [variable for network in networks for variable in network.trainable_variables]
