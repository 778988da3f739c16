"""Differentiable augmentation: gradients pass through it, so a generator can learn from augmented images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgen.layers.seeded_layer import Seed, SeededLayer
from kgen.serializable import serializable
from kgen.types import Tensor

POLICY = {
    "color": ("brightness", "saturation", "contrast"),
    "translation": ("translation",),
    "cutout": ("cutout",),
}
TRANSFORMATIONS = tuple(name for names in POLICY.values() for name in names)


@serializable
class DiffAugment(SeededLayer):
    """Changes images at random in ways that gradients pass through, for discriminators with little data.

    A discriminator that only sees augmented images, real and generated, cannot memorise the few real ones. Every
    change is differentiable, so gradients still reach the generator (Zhao et al. 2020, "Differentiable Augmentation
    for Data-Efficient GAN Training"). At strength s, each image x goes through, in this order:

    - `"color"`: x + b with b ~ U(-s/2, s/2); then each value's distance from its pixel's mean is scaled by a factor
      U(1 - s, 1 + s) (unless C = 1); then its distance from the image's mean by a factor U(1 - s/2, 1 + s/2).
    - `"translation"`: a shift by whole pixels, up to s/8 of each side; zeros fill the gap.
    - `"cutout"`: a rectangle of s/2 of each side becomes zero; its centre is anywhere in the image.

    Called as `layer(images, probability=None, training=False)`: images `(B, H, W, C)`, float in [-1, 1], H and W known.
    The result has the same shape and may leave that range. Outside training nothing changes. Each of the five
    transformations applies to each image with `probability`, a number or a scalar tensor. It may change from call to
    call without a new trace, as adaptive augmentation needs (Karras et al. 2020, "Training Generative Adversarial
    Networks with Limited Data"). Two calls draw different random numbers; to change two batches in the same way, call
    `parameters` once and `apply` twice.

    Args:
        policy: which of `"color"`, `"translation"`, `"cutout"`; a name or a sequence of names.
        strength: s above, from 0 (nothing changes) to 1 (as in the paper).
        seed: an int, a `keras.random.SeedGenerator` to share with others, or None for a random seed.

    Raises:
        ValueError: for unknown names in `policy`, `strength` out of range, or images that are not float.
        TypeError: if `seed` is something else.

    Example:
        ```python
        augment = DiffAugment(seed=0)
        real, fake = keras.random.uniform((8, 32, 32, 3), -1), keras.random.uniform((8, 32, 32, 3), -1)
        augment(fake, probability=0.5, training=True).shape  # (8, 32, 32, 3)
        drawn = augment.parameters(8, 32, 32)
        real, fake = augment.apply(real, drawn), augment.apply(fake, drawn)  # changed in the same way
        ```
    """

    def __init__(
        self,
        policy: str | Sequence[str] = ("color", "translation", "cutout"),
        strength: float = 1.0,
        seed: Seed = None,
        **kwargs: Any,
    ):
        super().__init__(seed, **kwargs)
        policy = (policy,) if isinstance(policy, str) else tuple(policy)
        strange = [name for name in policy if name not in POLICY]
        if strange:
            raise ValueError(f"DiffAugment: policy may only contain {', '.join(map(repr, POLICY))}; got {strange}.")
        if not 0 <= strength <= 1:
            raise ValueError(f"DiffAugment: strength must be from 0 to 1; got {strength}.")
        self.policy = policy
        self.strength = strength

    def call(self, images: Tensor, probability: Tensor | None = None, training: bool = False) -> Tensor:
        if not training:
            return images
        height, width = _sides(images)
        return self.apply(images, self.parameters(ops.shape(images)[0], height, width), probability)

    def parameters(self, batch: int | Tensor, height: int, width: int, seed: Seed = None) -> dict[str, Tensor]:
        """Draws what happens to each image.

        Args:
            batch: number of images, an int or a scalar tensor.
            height, width: of the images.
            seed: an int or a `SeedGenerator` to draw from instead of the layer's own.

        Returns:
            Dict with `chance`, and with the entries that the policy needs. `brightness`, `saturation`, `contrast`:
            `(batch,)`, a summand and two factors. `translation`: int32 `(batch, 2)`, pixels down and to the right.
            `cutout`: int32 `(batch, 2)`, row and column of the rectangle's first corner, which may lie outside the
            image. `chance`: `(batch, 5)` in [0, 1); a transformation happens if its number, in the order above, is
            below the probability.
        """
        seed = self.seed_generator if seed is None else seed
        # One draw for everything: with an int as seed, separate draws would give the same numbers.
        uniform = keras.random.uniform((batch, 7 + len(TRANSFORMATIONS)), dtype="float32", seed=seed)
        sides = ((3, height), (4, width)), ((5, height), (6, width))
        drawn = {
            "brightness": self.strength * (uniform[:, 0] - 0.5),
            "saturation": 1 + self.strength * (2 * uniform[:, 1] - 1),
            "contrast": 1 + self.strength * (uniform[:, 2] - 0.5),
            "translation": ops.stack([self._shift(uniform[:, i], side) for i, side in sides[0]], axis=1),
            "cutout": ops.stack([self._corner(uniform[:, i], side) for i, side in sides[1]], axis=1),
        }
        chosen = [name for group in self.policy for name in POLICY[group]]
        return {**{name: drawn[name] for name in chosen}, "chance": uniform[:, 7:]}

    def apply(self, images: Tensor, parameters: dict[str, Tensor], probability: Tensor | None = None) -> Tensor:
        """Changes each image as `parameters` says, in training or not.

        Args:
            images: float tensor `(batch, height, width, channels)`.
            parameters: what `parameters` returns, or some of its entries; a transformation without one is skipped.
            probability: number or scalar tensor in [0, 1], the probability of each transformation of each image. None
                means 1; anything else needs the entry `chance`.

        Returns:
            A tensor like `images`.
        """
        height, width = _sides(images)
        parameters = {name: ops.convert_to_tensor(value) for name, value in parameters.items()}
        if probability is not None:
            parameters = _with_probability(parameters, probability, outside=max(height, width))
        for name in TRANSFORMATIONS:
            if name in parameters:
                images = getattr(self, f"_{name}")(images, parameters[name])
        return images

    # A factor f is written x + (f - 1) * difference, so that a factor of 1 changes no bit.

    def _brightness(self, images, summand):
        return images + _per_image(summand, images)

    def _saturation(self, images, factor):
        if images.shape[-1] == 1:
            return images
        return images + _per_image(factor - 1, images) * (images - ops.mean(images, axis=-1, keepdims=True))

    def _contrast(self, images, factor):
        return images + _per_image(factor - 1, images) * (images - ops.mean(images, axis=(1, 2, 3), keepdims=True))

    def _translation(self, images, shift):
        """Gathers pixels: exact in any precision, and faster than products with shift matrices."""
        height, width = _sides(images)
        rows = ops.arange(height, dtype="int32") - shift[:, :1]
        columns = ops.arange(width, dtype="int32") - shift[:, 1:]
        inside = _both(ops.logical_and(rows >= 0, rows < height), ops.logical_and(columns >= 0, columns < width))
        rows, columns = ops.clip(rows, 0, height - 1), ops.clip(columns, 0, width - 1)
        first = height * ops.expand_dims(ops.arange(ops.shape(images)[0], dtype="int32"), 1)
        pixels = ops.expand_dims(width * (first + rows), 2) + ops.expand_dims(columns, 1)
        moved = ops.take(ops.reshape(images, (-1, images.shape[-1])), pixels, axis=0)
        return moved * ops.cast(inside, images.dtype)

    def _cutout(self, images, corner):
        height, width = _sides(images)
        rows = ops.arange(height, dtype="int32") - corner[:, :1]
        columns = ops.arange(width, dtype="int32") - corner[:, 1:]
        tall, wide = self._cutout_side(height), self._cutout_side(width)
        cut = _both(ops.logical_and(rows >= 0, rows < tall), ops.logical_and(columns >= 0, columns < wide))
        return images * ops.cast(ops.logical_not(cut), images.dtype)

    def _shift(self, uniform, side):
        """A shift in whole pixels; all 2 * furthest + 1 shifts are equally likely."""
        furthest = int(side * self.strength / 8 + 0.5)
        return ops.cast(ops.floor(uniform * (2 * furthest + 1)), "int32") - furthest

    def _corner(self, uniform, side):
        """The first row or column of the rectangle. Its centre is a pixel or, if its length is even, an edge of one."""
        length = self._cutout_side(side)
        return ops.cast(ops.floor(uniform * (side + 1 - length % 2)), "int32") - length // 2

    def _cutout_side(self, side):
        return int(side * self.strength / 2 + 0.5)

    def compute_output_shape(self, images_shape: tuple, probability_shape: tuple | None = None) -> tuple:
        return images_shape


def _sides(images):
    """Height and width of images that can be augmented."""
    shape, dtype = tuple(images.shape), keras.backend.standardize_dtype(images.dtype)
    if len(shape) != 4 or None in shape[1:] or "float" not in dtype:
        raise ValueError(
            "DiffAugment: images must be float (batch, height, width, channels) in [-1, 1], with known height and "
            f"width; got {dtype} of shape {shape}."
        )
    return shape[1:3]


def _per_image(values, images):
    """`(B,)` to `(B, 1, 1, 1)` in the dtype of the images."""
    return ops.reshape(ops.cast(values, images.dtype), (-1, 1, 1, 1))


def _both(rows, columns):
    """`(B, H, W, 1)`: where row and column are both true."""
    return ops.expand_dims(ops.logical_and(ops.expand_dims(rows, 2), ops.expand_dims(columns, 1)), 3)


def _with_probability(parameters, probability, outside):
    """The parameters, with values that change nothing where a transformation does not happen."""
    nothing = {"brightness": 0.0, "saturation": 1.0, "contrast": 1.0, "translation": 0, "cutout": outside}
    happens = parameters["chance"] < ops.convert_to_tensor(probability, "float32")
    switched = {}
    for index, name in enumerate(TRANSFORMATIONS):
        if name in parameters:
            value = parameters[name]
            column = happens[:, index : index + 1] if len(value.shape) == 2 else happens[:, index]
            switched[name] = ops.where(column, value, ops.full_like(value, nothing[name]))
    return switched
