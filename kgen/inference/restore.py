"""Restores images of any size: one, a batch or a list; in tiles, with alpha, with masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops
from PIL import Image

from kgen.inference.coarse_to_fine import filled_from_coarse_to_fine
from kgen.inference.tiled import in_tiles
from kgen.inputs import pixels
from kgen.sampling.tiles import Tiles, levels
from kgen.types import Array, Tensor, ValueRange, Verbose


def restored_images(
    model: Any,
    images: Any,
    masks: Any,
    tile: int,
    overlap: int,
    verbose: Verbose,
    value_range: ValueRange = None,
    out: Any = None,
) -> Any:
    """The result of `ImageRestorer.restore`, which explains the arguments.

    Args:
        model: has `restored_inputs`, a graph from `images` and `masks` to restored images in [0, 1]; `masked`, whether
            it takes masks; its `reach` into holes; its number of `channels`; and `scale`, by which it enlarges.
        images, masks, tile, overlap, verbose, value_range, out: as in `ImageRestorer.restore`.

    Returns:
        uint8 array, or a list of them.

    Raises:
        TypeError, ValueError: as in `ImageRestorer.restore`.
    """
    owner = f"{type(model).__name__}.restore"
    if (masks is None) == model.masked:
        wanted = "needs masks of the missing areas" if model.masked else "has no RandomMask; leave out masks"
        raise ValueError(f"{owner}: this model {wanted}.")
    if isinstance(images, (list, tuple)):
        if out is not None:
            raise TypeError(f"{owner}: out is only for a single array of images; got {len(images)} images in a list.")
        masks = [None] * len(images) if masks is None else masks
        if len(masks) != len(images):
            raise ValueError(f"{owner}: {len(images)} images need the same number of masks; got {len(masks)}.")
        pairs = zip(images, masks)
        return [restored_images(model, image, mask, tile, overlap, verbose, value_range) for image, mask in pairs]
    rank = len(getattr(images, "shape", ()))
    if rank not in (2, 3, 4):
        got = f"shape {tuple(images.shape)}" if hasattr(images, "shape") else type(images).__name__
        raise TypeError(
            f"{owner}: images must be an array (H, W), (H, W, channels) or (N, H, W, channels), or a list of images; "
            f"got {got}."
        )
    images = np.asarray(images)
    if out is not None:
        _check_out(owner, out, images.shape, model.scale)
    if rank == 2:
        out = None if out is None else out[..., None]
        return restored_images(model, images[..., None], masks, tile, overlap, verbose, value_range, out)[..., 0]
    if rank == 3:
        masks = None if masks is None else np.asarray(masks)[None]
        out = None if out is None else out[None]
        return restored_images(model, images[None], masks, tile, overlap, verbose, value_range, out)[0]
    # Networks for colour take grey images as three equal channels, and return three equal channels.
    is_grey = model.channels == 3 and images.shape[-1] in (1, 2)
    channels = 1 if is_grey else model.channels
    images, alpha = images[..., :channels], images[..., channels:]
    if alpha.shape[-1] > 1:
        raise ValueError(
            f"{owner}: images must have {model.channels} channels, or one more for alpha; got "
            f"{channels + alpha.shape[-1]}."
        )
    images = np.repeat(images, 3, axis=-1) if is_grey else images
    inputs = {"images": model.image_input.images(images, owner, value_range=value_range)}
    if masks is None:
        whole = not is_grey and not alpha.shape[-1]
        restored = _in_tiles(model, inputs, images.shape[1:3], tile, overlap, verbose, out if whole else None)
    else:
        masks = _checked_masks(owner, masks, images.shape[:3])

        def fill(images: Tensor, masks: Tensor) -> Array:
            inputs = {"images": ops.convert_to_numpy(images), "masks": ops.convert_to_numpy(masks)}
            return _in_tiles(model, inputs, images.shape[1:3], tile, overlap, verbose)

        if images.dtype != "uint8":
            images = ops.convert_to_numpy(pixels.to_uint8(inputs["images"][:]))
        restored = filled_from_coarse_to_fine(fill, images, masks, model.reach, model.scale)
    if restored is out:
        return out
    restored = restored[..., :channels]
    if alpha.shape[-1]:
        seen = pixels.NetworkImages(alpha, inputs["images"].value_range)[:]
        restored = np.concatenate([restored, _scaled(seen, model.scale)], axis=-1)
    if out is None:
        return restored
    out[...] = restored
    return out


def _check_out(owner, out, shape, scale):
    first = 1 if len(shape) == 4 else 0
    wanted = (*shape[:first], *(scale * side for side in shape[first : first + 2]), *shape[first + 2 :])
    if not isinstance(out, np.ndarray) or out.dtype != "uint8" or out.shape != wanted:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"{owner}: out must be a NumPy array, uint8 {wanted}, for these images; got {got}.")


def _in_tiles(model, inputs, size, tile, overlap, verbose, out=None):
    tiles = Tiles(size, tile, overlap, model.scale, owner=f"{type(model).__name__}.restore")
    # How many small images have as many pixels together as two tiles.
    at_once = max(1, 2 * tile**2 // math.prod(tiles.tile))
    return in_tiles(model, model.restored_inputs, inputs, tiles, levels, at_once, verbose, out)


def _checked_masks(owner, masks, shape):
    masks = np.asarray(masks)
    masks = masks[..., 0] if masks.ndim == 4 and masks.shape[-1] == 1 else masks
    if masks.shape != shape:
        raise ValueError(f"{owner}: masks must have shape {shape} for these images; got {masks.shape}.")
    return (masks != 0).astype("uint8")[..., None]


def _scaled(alpha, scale):
    """Alpha `(N, H, W, 1)`, uint8 or float in [-1, 1], enlarged by `scale`, as uint8."""
    alpha = alpha if alpha.dtype == "uint8" else ops.convert_to_numpy(pixels.to_uint8(alpha))
    if scale == 1:
        return alpha
    size = (alpha.shape[2] * scale, alpha.shape[1] * scale)
    larger = [Image.fromarray(one[..., 0]).resize(size, Image.Resampling.BICUBIC) for one in alpha]
    return np.stack([np.asarray(one) for one in larger])[..., None]
