"""Pictures of any size through a network that makes them better: in tiles, with alpha, with masks."""

from __future__ import annotations

import math
import warnings

import keras
import numpy as np
from keras import ops
from PIL import Image

from kgen.layers.random_mask import hidden
from kgen.models.measured_model import MeasuredModel
from kgen.models.tiles import Tiles, in_whole_multiples


class RestoringModel(MeasuredModel):
    """Base of the models that restore pictures.

    A subclass sets `average`, a `MovingAverage` of a network from pictures in [0, 1], with a channel more where it is
    `masked`, to pictures `scale` times as large; `channels`; and `keeps_known`, whether pixels that no mask hides stay
    as they are.
    """

    def restored(self, degraded, network, training=False):
        """What a network makes of spoiled pictures in [0, 1], float32; known pixels as they were."""
        restored = ops.cast(network(degraded, training=training), "float32")
        if self.keeps_known:
            restored = ops.where(degraded[..., -1:] > 0.5, restored, degraded[..., :-1])
        return restored

    def restore(self, images, masks=None, tile=512, overlap=64, verbose="auto"):
        """Better pictures, `scale` times as large.

        What is larger than a tile is computed in tiles, in memory that does not grow with the picture, but for the
        result itself.

        Args:
            images: one picture `(H, W, channels)`, a batch `(N, H, W, channels)`, or a list of pictures of any sizes;
                uint8, or float in [0, 1] or [-1, 1]. One channel more is alpha, which stays as it is, or is scaled with
                the picture.
            masks: what is missing, for a model with `RandomMask`: `(H, W)`, `(N, H, W)` or a list, not 0 where it is.
            tile: side of a tile in pixels of `images`, a multiple of 8; less needs less memory and more time.
            overlap: of neighbouring tiles; a multiple of 8, at most half of a tile.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 array `(scale * H, scale * W, channels)`, a batch or a list of them, as `images` came; pixels that are
            known are those of `images` where masks are all that the model learned.

        Raises:
            TypeError: if `images` is none of these.
            ValueError: for pictures of other channels or range; masks that are missing, out of place, or of another
                size; or another tile or overlap.
        """
        owner = f"{type(self).__name__}.restore"
        if not self.average.trained:
            warnings.warn(f"{type(self).__name__} has not been trained: pictures stay as they are.", stacklevel=2)
        if (masks is None) == self.masked:
            wanted = "needs masks of what is missing" if self.masked else "has no RandomMask; leave out masks"
            raise ValueError(f"{owner}: this model {wanted}.")
        if isinstance(images, (list, tuple)):
            masks = [None] * len(images) if masks is None else masks
            if len(masks) != len(images):
                raise ValueError(f"{owner}: {len(images)} pictures need as many masks; got {len(masks)}.")
            return [self.restore(*pair, tile, overlap, verbose) for pair in zip(images, masks)]
        rank = len(getattr(images, "shape", ()))
        if rank not in (3, 4):
            got = f"shape {tuple(images.shape)}" if hasattr(images, "shape") else type(images).__name__
            raise TypeError(
                f"{owner}: images must be an array (H, W, channels) or (N, H, W, channels), or a list of "
                f"pictures; got {got}."
            )
        if rank == 3:
            masks = None if masks is None else np.asarray(masks)[None]
            return self.restore(np.asarray(images)[None], masks, tile, overlap, verbose)[0]
        images = np.asarray(images)
        images, alpha = images[..., : self.channels], images[..., self.channels :]
        if alpha.shape[-1] > 1:
            raise ValueError(
                f"{owner}: pictures must have {self.channels} channels, or one more for alpha; got "
                f"{self.channels + alpha.shape[-1]}."
            )
        self.find_range(images, some_of_many=True, owner=owner)
        arrays = {"images": images if images.dtype == "uint8" else images.astype("float32")}
        if masks is not None:
            arrays["masks"] = _checked_masks(owner, masks, images.shape[:3])
        restored = self._in_tiles(arrays, Tiles(images.shape[1:3], tile, overlap, self.scale), tile, verbose)
        return np.concatenate([restored, _scaled(alpha, self.scale)], axis=-1) if alpha.shape[-1] else restored

    def _in_tiles(self, arrays, tiles, tile, verbose):
        count, height, width = arrays["images"].shape[:3]
        # As many small pictures at once as have the pixels of two tiles.
        at_once = max(1, 2 * tile**2 // math.prod(tiles.tile))
        if max(height, width) <= tile:
            return _levels(self.in_batches(self.restored_inputs, arrays, at_once, verbose))
        total = count * len(tiles.rows) * len(tiles.columns)
        shown = verbose == 1 or (verbose == "auto" and total > 8)
        progress = keras.utils.Progbar(total, unit_name="tile") if shown else None

        def row(parts):
            results = self.in_batches(self.restored_inputs, parts, at_once, verbose=0)
            if progress:
                progress.add(len(results))
            return results

        return np.stack([tiles.computed(row, {key: a[i] for key, a in arrays.items()}) for i in range(count)])

    def restored_inputs(self, inputs):
        """Restored pictures, not cut off, from a dict of `images` as they come in and `masks` `(N, H, W, 1)`."""
        images = 0.5 * self.to_network(inputs["images"]) + 0.5
        if self.masked:
            missing = ops.cast(ops.not_equal(inputs["masks"], 0), "float32")
            images = ops.concatenate([hidden(images, missing), missing], axis=-1)
        height, width = ops.shape(images)[1:3]
        restored = self.restored(in_whole_multiples(images), self.average)
        return restored[:, : height * self.scale, : width * self.scale]

    def call(self, images):
        """Restored pictures of those in [0, 1]."""
        return self.restored(images, self.average)

    @property
    def restoring_network(self):
        """The averaged network, from pictures in [0, 1] to restored ones: a layer for `postprocessing` of a generator.

        With `TextToImage(..., postprocessing=[restorer.restoring_network])` pictures come out `scale` times as large.
        """
        return self.average.network

    # === As a SavedModel ===
    def served_layers(self):
        """The averaged network."""
        return [self.average]

    def serving_signature(self):
        """`images`, uint8 `(N, height, width, channels)` of any size; and `masks`, uint8 `(N, height, width)`."""
        import tensorflow as tf

        specs = [tf.TensorSpec([None, None, None, self.channels], tf.uint8, name="images")]
        return [*specs, tf.TensorSpec([None, None, None], tf.uint8, name="masks")] if self.masked else specs

    def serve(self, images, masks=None):
        """A dict of the restored `images`, uint8."""
        inputs = {"images": images} if masks is None else {"images": images, "masks": ops.expand_dims(masks, -1)}
        restored = ops.clip(self.restored_inputs(inputs), 0.0, 1.0)
        return {"images": ops.cast(ops.round(255.0 * restored), "uint8")}


def _checked_masks(owner, masks, shape):
    masks = np.asarray(masks)
    masks = masks[..., 0] if masks.ndim == 4 and masks.shape[-1] == 1 else masks
    if masks.shape != shape:
        raise ValueError(f"{owner}: masks must be {shape} for these pictures; got {masks.shape}.")
    return (masks != 0).astype("uint8")[..., None]


def _levels(images):
    """uint8 of pictures in [0, 1]."""
    return np.rint(255.0 * np.clip(images, 0.0, 1.0)).astype("uint8")


def _scaled(alpha, scale):
    """Alpha `(N, H, W, 1)`, uint8 or float in [0, 1], as uint8 of so many times the size."""
    alpha = alpha if alpha.dtype == "uint8" else _levels(alpha)
    if scale == 1:
        return alpha
    size = (alpha.shape[2] * scale, alpha.shape[1] * scale)
    larger = [Image.fromarray(one[..., 0]).resize(size, Image.Resampling.BICUBIC) for one in alpha]
    return np.stack([np.asarray(one) for one in larger])[..., None]
