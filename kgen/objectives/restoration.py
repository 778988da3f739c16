"""The objective of a model that restores images."""

from __future__ import annotations

from typing import Any

from kgen.objectives.likeness import Likeness
from kgen.objectives.objective import Objective
from kgen.training import Phase
from kgen.types import Tensor


class Restoration(Objective):
    """Degrades clean images, and trains the network to restore them; `ImageRestorer.compile` makes one.

    What it trains: `model.network`, and `model.discriminator` if there is one.

    Args:
        likeness: how clean and restored images are compared; None: `Likeness()`.
    """

    def __init__(self, likeness: Likeness | None = None):
        self.likeness = Likeness() if likeness is None else likeness

    def attach(self, model: Any) -> None:
        """Takes the networks of a model."""
        super().attach(model)
        self.likeness.attach(model)
        self.adversary = self.likeness.adversary

    def phases(self) -> list[Phase]:
        """The discriminator if there is one, then the network."""
        terms = self.likeness.terms if len(self.likeness.terms) > 1 else ()
        variables = self.model.network.trainable_variables
        network = Phase("network", self.network_loss, variables, terms=terms, measures=("psnr",))
        return self.after_discriminator(network)

    def attempt(self, batch: dict[str, Tensor], training: bool) -> Tensor:
        """Degrades images and restores them; the result is in about [-1, 1]."""
        model = self.model
        degraded = model.degraded(0.5 * batch["images"] + 0.5, model.seeds(training))
        return 2.0 * model.restored(degraded, model.network if training else model.average, training) - 1.0

    def network_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The terms that `compile` asked for, and PSNR."""
        parts = self.likeness.parts(batch["images"], self.attempt(batch, training), training)
        return parts if len(self.likeness.terms) > 1 else {"loss": parts["pixels"], "psnr": parts["psnr"]}

    def discriminator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The adversary's loss on clean images and on restored ones."""
        return self.likeness.discriminator_loss(batch["images"], self.attempt(batch, training), training)
