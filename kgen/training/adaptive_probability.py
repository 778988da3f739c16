"""A probability of augmentation that follows how far a discriminator overfits."""

from __future__ import annotations

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.training import backend
from kgen.types import Tensor

# Batches between two moves, as in the paper: one batch alone says little.
_BATCHES = 4.0


@serializable
class AdaptiveProbability(keras.layers.Layer):
    """A probability p, state of a model, that rises while a discriminator is too sure and falls while it is not.

    After every four batches, with n real images together, p += sign(r - target) n / images, clipped to [0, 1]. r is the
    mean of the discriminator's signs on them: 1 where it takes an image for real, -1 where not [Karras et al. 2020,
    "Training generative adversarial networks with limited data", section 3]. p begins at 0. Under `tf.distribute` all
    replicas share one p, which follows the images of all of them.

    Example:

    ```python
    state = kgen.training.AdaptiveProbability()
    state.update(keras.ops.ones((8,)), target=0.6, images=500_000)     # after each batch
    state.probability
    ```
    """

    def __init__(self, **kwargs):
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})
        self.probability, self.total, self.seen, self.batches = (
            self.add_weight(
                shape=(), initializer="zeros", trainable=False, aggregation="mean", autocast=False, name=name
            )
            for name in ("probability", "total", "seen", "batches")
        )
        self.built = True

    def update(self, signs: Tensor, target: float, images: float) -> None:
        """Counts a batch.

        Args:
            signs: `(batch,)`: 1 for each real image that the discriminator takes for real, -1 for the others.
            target: mean of the signs to hold, in [-1, 1].
            images: how many images it takes p to go from 0 to 1.
        """
        signs = ops.stop_gradient(ops.convert_to_tensor(signs, "float32"))
        with backend.without_gradients():
            # NaN says nothing of any image, and would stay for good.
            signs = ops.where(ops.isnan(signs), 0.0, signs)
            # As if the others' shares were like this one: then the mean of what replicas assign is the sum of them all.
            self.total.assign(self.total + backend.replicas() * ops.sum(signs))
            self.seen.assign(self.seen + backend.replicas() * ops.cast(ops.shape(signs)[0], "float32"))
            self.batches.assign(self.batches + 1.0)
            step = ops.sign(self.total - target * self.seen) * self.seen / images
            due = ops.greater_equal(self.batches, _BATCHES)
            self.probability.assign(ops.clip(self.probability + ops.where(due, step, 0.0), 0.0, 1.0))
            for state in (self.total, self.seen, self.batches):
                state.assign(ops.where(due, 0.0, state.value))

    def load_own_variables(self, store) -> None:
        """Loads the state; a file from before there was any leaves it as it is."""
        if len(store.keys()):
            super().load_own_variables(store)
