"""An augmentation probability that adapts to how much a discriminator overfits."""

from __future__ import annotations

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.training import backend
from kgen.types import Tensor

# Batches between two updates of p, as in the paper: a single batch is too noisy.
_BATCHES = 4.0


@serializable
class AdaptiveProbability(keras.layers.Layer):
    """A probability p, part of a model's state, that rises while a discriminator is too sure and falls otherwise.

    After every four batches, which have n real images in total, p += sign(r - target) n / images, clipped to [0, 1]. r
    is the mean of the discriminator's signs on these images: 1 if it takes the image for real, -1 if not [Karras et al.
    2020, "Training generative adversarial networks with limited data", section 3]. p starts at 0. Under `tf.distribute`
    all replicas share one p, computed from the images of all of them.

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
            target: the mean sign that p steers towards, in [-1, 1].
            images: how many images it takes to move p from 0 to 1.
        """
        signs = ops.stop_gradient(ops.convert_to_tensor(signs, "float32"))
        with backend.without_gradients():
            # A NaN tells nothing about an image, and would stay in the state forever.
            signs = ops.where(ops.isnan(signs), 0.0, signs)
            # Scaled as if every replica had this share: the mean over the replicas' assignments is then the total.
            self.total.assign(self.total + backend.replicas() * ops.sum(signs))
            self.seen.assign(self.seen + backend.replicas() * ops.cast(ops.shape(signs)[0], "float32"))
            self.batches.assign(self.batches + 1.0)
            step = ops.sign(self.total - target * self.seen) * self.seen / images
            due = ops.greater_equal(self.batches, _BATCHES)
            self.probability.assign(ops.clip(self.probability + ops.where(due, step, 0.0), 0.0, 1.0))
            for state in (self.total, self.seen, self.batches):
                state.assign(ops.where(due, 0.0, state.value))

    def load_own_variables(self, store) -> None:
        """Loads the state. An older file without such state changes nothing."""
        if len(store.keys()):
            super().load_own_variables(store)
