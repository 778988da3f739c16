"""Pictures with parts missing."""

import keras
from keras import ops

from kgen.layers.degradation import Degradation, checked_range, drawn_between

MISSING = 0.5


@keras.saving.register_keras_serializable(package="kgen")
class RandomMask(Degradation):
    """Pictures with squares missing, and one more channel that says where: `(B, H, W, C)` to `(B, H, W, C + 1)`.

    A picture in [0, 1] is cut into squares, from a corner that is drawn; each of them is missing with a probability
    that is drawn for the picture. What is missing is mid-grey, 0.5, and 1 in the last channel, which is 0 elsewhere.

    Args:
        fraction: probability of each square to be missing, a number or `(low, high)`.
        size: side of the squares in pixels, an integer or `(low, high)`, from which one is drawn for each picture; 1
            for single pixels.
        seed: as of `Degradation`.

    Raises:
        ValueError: for a fraction outside of 0 to 1, or a size below 1.

    Example:
        ```python
        RandomMask((0.1, 0.5), size=4, seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 4)
        ```
    """

    def __init__(self, fraction=(0.1, 0.5), size=1, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.fraction = checked_range("RandomMask", "fraction", fraction, most=1.0)
        self.size = tuple(int(side) for side in checked_range("RandomMask", "size", size, least=1))

    def parameters(self, batch, shape, seed):
        least, most = self.size
        # One square more than fit: where the first begins is drawn.
        squares = [-(-side // least) + 1 for side in shape[:2]]
        uniform = keras.random.uniform((batch, 3), dtype="float32", seed=seed)
        size = _whole(uniform[:, :1], most - least + 1) + least
        return {
            "fraction": drawn_between(self.fraction, batch, seed),
            "size": size,
            "corner": _whole(uniform[:, 1:], size),
            "chance": keras.random.uniform((batch, *squares, 1), dtype="float32", seed=seed),
        }

    def apply(self, images, parameters):
        missing = ops.cast(parameters["chance"] < parameters["fraction"], "float32")
        for axis in (1, 2):
            # Pixel i lies in square (i + corner) // size of its picture.
            start = parameters["corner"][:, axis - 1 : axis]
            square = (ops.arange(images.shape[axis], dtype="int32")[None] + start) // parameters["size"]
            square = ops.expand_dims(square, (2, 3) if axis == 1 else (1, 3))
            missing = ops.take_along_axis(missing, square, axis=axis)
        return ops.concatenate([hidden(images, missing), missing], axis=-1)

    def compute_output_shape(self, images_shape):
        return (*images_shape[:3], images_shape[3] + 1)

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "fraction": list(self.fraction), "size": list(self.size)}


def hidden(images, missing):
    """Pictures `(B, H, W, C)` that are mid-grey where `missing`, `(B, H, W, 1)`, is 1."""
    return images * (1.0 - missing) + MISSING * missing


def _whole(uniform, count):
    """Integers from 0 to `count` - 1 of numbers in [0, 1), which rounding may bring to 1."""
    return ops.minimum(ops.cast(ops.floor(uniform * ops.cast(count, "float32")), "int32"), count - 1)
