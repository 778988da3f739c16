"""One adversary, or one objective, of a training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """One part of a training step: a loss, and the variables that it moves.

    A GAN trains in two phases, a VAE in one. `PhasedModel` runs the phases of a model in order, each with an
    optimizer of its own.

    Args:
        name: What the phase trains; the key of its optimizer and the stem of its name in the logs.
        loss: `loss(batch, training)` gives one value per sample, shape `(batch,)`; or a dict of such tensors, whose
            keys are the names in `terms`, or `"loss"` where there are none, and those in `measures`. It is `keras.ops`
            code and may draw random numbers and update layer state.
        variables: The `keras.Variable`s that this phase trains.
        every: Run in every `every`-th step only, the first one included.
        terms: Names of the parts of the loss, which is their sum; they are reported one by one.
        measures: Names of what the loss computes by the way: reported too, and no part of the loss.

    Raises:
        ValueError: if `every` is not a positive integer, a name stands for two things, or there is nothing to train.

    Example:

    ```python
    Phase("generator", self.generator_loss, self.generator.trainable_variables)
    ```
    """

    name: str
    loss: Callable
    variables: Sequence
    every: int = 1
    terms: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    def __post_init__(self):
        if not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"Phase {self.name!r}: every must be a positive integer; got {self.every!r}.")
        if len({"loss", *self.terms, *self.measures}) < 1 + len(self.terms) + len(self.measures):
            raise ValueError(
                f"Phase {self.name!r}: terms and measures need names of their own, which are not 'loss'; got the terms "
                f"{list(self.terms)} and the measures {list(self.measures)}."
            )
        if not self.variables:
            raise ValueError(
                f"Phase {self.name!r}: there is nothing to train. A phase needs at least one trainable variable; "
                "was the network built, and is its `trainable` True?"
            )
