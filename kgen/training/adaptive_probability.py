"""A probability of augmentation that follows how far a discriminator overfits."""

from __future__ import annotations

import keras
from keras import ops

from kgen.training import backend

# Batches from one move to the next, as in the paper: one batch alone says little.
_BATCHES = 4.0


@keras.saving.register_keras_serializable(package="kgen")
class AdaptiveProbability(keras.layers.Layer):
    """A number p in [0, 1], state of a model, that rises while a discriminator is too sure and falls while it is not.

    After every four batches, of n real pictures together, p += sign(r - target) n / images, clipped to [0, 1]: r is
    the mean over them of signs that say whether each was told for real [Karras et al. 2020, "Training generative
    adversarial networks with limited data", section 3]. p begins at 0. Under `tf.distribute` all replicas have one p,
    which follows the pictures of all of them.

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

    def update(self, signs, target, images):
        """Takes account of a batch.

        Args:
            signs: `(batch,)`: of each real picture 1 where it was told for real, -1 where for generated.
            target: mean of the signs to hold.
            images: pictures in which p can go from 0 to 1.
        """
        signs = ops.stop_gradient(ops.convert_to_tensor(signs, "float32"))
        with backend.without_gradients():
            # As if the others' shares were like this one: then the mean of what replicas assign is the sum of them all.
            self.total.assign(self.total + backend.replicas() * ops.sum(signs))
            self.seen.assign(self.seen + backend.replicas() * ops.cast(ops.shape(signs)[0], "float32"))
            self.batches.assign(self.batches + 1.0)
            step = ops.sign(self.total - target * self.seen) * self.seen / images
            due = ops.greater_equal(self.batches, _BATCHES)
            self.probability.assign(ops.clip(self.probability + ops.where(due, step, 0.0), 0.0, 1.0))
            for state in (self.total, self.seen, self.batches):
                state.assign(ops.where(due, 0.0, state.value))

    def load_own_variables(self, store):
        """Loads the state; what was saved before there was any keeps its beginning."""
        if len(store.keys()):
            super().load_own_variables(store)
