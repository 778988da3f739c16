"""One adversary, or one objective, of a training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kgen import checks


@dataclass(frozen=True)
class Phase:
    """One part of a training step: a loss, and the variables that it trains.

    A GAN trains in two phases, a VAE in one. `PhasedModel` runs a model's phases in order, each with its own optimizer.

    Args:
        name: what the phase trains. Its optimizer has this name, and the logs have `{name}_loss`.
        loss: `loss(batch, training)` gives one value per sample, shape `(batch,)`; or a dict of such tensors, whose
            keys are the names in `terms`, or `"loss"` where there are none, and those in `measures`. It is `keras.ops`
            code and may draw random numbers and update layer state.
        variables: the `keras.Variable`s that this phase trains.
        every: run in every `every`-th step only, beginning with the first.
        terms: names of the parts of the loss, which is their sum; they are reported one by one.
        measures: names of what the loss computes beside it; reported, but not part of the loss.

    Raises:
        ValueError: if `every` is not an integer of at least 1, two parts have one name, or there is nothing to train.

    Example:

    ```python
    kgen.training.Phase("generator", self.generator_loss, self.generator.trainable_variables)
    ```
    """

    name: str
    loss: Callable
    variables: Sequence
    every: int = 1
    terms: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    def __post_init__(self):
        checks.integer(f"Phase {self.name!r}", "every", self.every)
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
