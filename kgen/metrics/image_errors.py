"""How far generated images are from the real ones that they should equal, one value per pair of images.

Images are pixels: floats from 0 to 255, `(batch, height, width, channels)`, with 1 or 3 channels. An image with NaN
gets NaN, and does not affect the others of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from kgen.types import Tensor

_PEAK = 255.0
_BEST_DECIBELS = 100.0
_WINDOW = 11
_SIGMA = 1.5
_LUMINANCE = (0.01 * _PEAK) ** 2
_CONTRAST = (0.03 * _PEAK) ** 2


def peak_signal_to_noise_ratio(real: Tensor, generated: Tensor) -> Tensor:
    """10 log10(255^2 / mean((real - generated)^2)), in decibels; larger is better.

    Equal images have no noise, and an infinite value would hide all other images in a mean. So the squared error counts
    as at least 255^2 / 10^10, which limits values to 100 dB. 8-bit images of up to 226 x 226 x 3 stay below that if a
    single value is off by one.

    Args:
        real, generated: pixels `(batch, height, width, channels)`.

    Returns:
        float32 tensor `(batch,)`.

    Raises:
        ValueError: for other shapes, or if the two differ.

    Example:

    ```python
    kgen.metrics.peak_signal_to_noise_ratio(keras.ops.zeros((1, 8, 8, 3)), keras.ops.ones((1, 8, 8, 3)))     # [48.13]
    ```
    """
    real, generated = _pixels("peak_signal_to_noise_ratio", real, generated)
    return decibels(ops.mean(ops.square((real - generated) / _PEAK), axis=(1, 2, 3)))


def decibels(error: Tensor) -> Tensor:
    """The `peak_signal_to_noise_ratio` of a mean squared error, of images in which black is 0 and white is 1."""
    return -10.0 * ops.log10(ops.maximum(error, 10.0 ** (-_BEST_DECIBELS / 10.0)))


def structural_similarity(real: Tensor, generated: Tensor) -> Tensor:
    """Mean over windows of similarity in luminance times similarity in contrast and structure; 1 for equal images.

    SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2)), C1 = (0.01 255)^2 and
    C2 = (0.03 255)^2 [Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    equation 13]. Means m, variances s^2 and covariances s_xy are taken over windows of 11 x 11 pixels, weighted by a
    Gaussian of deviation 1.5, at every position where a window fits into the image; then the mean over positions and
    channels.

    Args:
        real, generated: pixels `(batch, height, width, channels)`, height and width at least 11.

    Returns:
        float32 tensor `(batch,)`, from -1 to 1.

    Raises:
        ValueError: for other shapes, or if the two differ.

    Example:

    ```python
    kgen.metrics.structural_similarity(keras.ops.zeros((2, 16, 16, 1)), keras.ops.zeros((2, 16, 16, 1)))     # [1, 1]
    ```
    """
    real, generated = _pixels("structural_similarity", real, generated)
    height, width = real.shape[1:3]
    if any(side is not None and side < _WINDOW for side in (height, width)):
        raise ValueError(
            f"structural_similarity: images must be at least {_WINDOW} x {_WINDOW} pixels, the size of its window; "
            f"got {height} x {width}. Enlarge the images, or use peak_signal_to_noise_ratio."
        )
    # `keras.ops.image.ssim` has the same formula, but computes variances as E[x^2] - E[x]^2. This loses the digits that
    # both terms share. In float32 its error is 1e-5 at best, and a tenth of 1 - SSIM for bright images with little
    # contrast. A constant does not change a variance, so the mean of the image is subtracted before squares are taken.
    # Only the means of windows get it back.
    real_level = ops.mean(real, axis=(1, 2, 3), keepdims=True)
    generated_level = ops.mean(generated, axis=(1, 2, 3), keepdims=True)
    x, y = real - real_level, generated - generated_level
    maps = _window_means(ops.concatenate([x, y, ops.square(x) + ops.square(y), ops.square(x - y)], axis=-1))
    x, y, squares, squared_differences = ops.split(maps, 4, axis=-1)
    # Both factors use 2 a b = a^2 + b^2 - (a - b)^2, and s_x^2 + s_y^2 - 2 s_xy is the variance of x - y. A factor
    # near 1 is then computed as 1 minus something small.
    contrasts = squares - ops.square(x) - ops.square(y)
    structure = 1.0 - (squared_differences - ops.square(x - y)) / (contrasts + _CONTRAST)
    x, y = x + real_level, y + generated_level
    luminance = 1.0 - ops.square(x - y) / (ops.square(x) + ops.square(y) + _LUMINANCE)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def perceptual_distance(real_maps: Sequence[Tensor], generated_maps: Sequence[Tensor]) -> Tensor:
    """sum_l mean_hw ||f_l(x) / ||f_l(x)|| - f_l(y) / ||f_l(y)|| ||^2 over feature maps f_l of a network.

    This is the distance of [Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual
    metric", equation 1] with all weights 1. It is not LPIPS, whose channel weights were fitted to human judgements for
    certain networks. Compare results only for the same network and layers.

    Args:
        real_maps, generated_maps: lists of tensors `(batch, height, width, channels)`, one per layer l.

    Returns:
        float32 tensor `(batch,)`, 0 for equal maps, at most 4 per layer.

    Raises:
        ValueError: if the lists are empty, or their lengths or shapes differ.

    Example:

    ```python
    kgen.metrics.perceptual_distance([keras.ops.ones((1, 4, 4, 8))], [keras.ops.ones((1, 4, 4, 8))])     # [0]
    ```
    """
    both = (real_maps, generated_maps)
    if not all(isinstance(maps, (list, tuple)) and maps for maps in both) or len(real_maps) != len(generated_maps):
        got = " and ".join(f"{type(maps).__name__} of {len(maps)}" for maps in both)
        raise ValueError(
            f"perceptual_distance: pass two lists of feature maps of the same layers, at least one each; got {got}."
        )
    total = 0.0
    for real, generated in zip(real_maps, generated_maps):
        real, generated = _alike("perceptual_distance: feature maps", real, generated)
        difference = _unit_length(real) - _unit_length(generated)
        total += ops.mean(ops.sum(ops.square(difference), axis=-1), axis=(1, 2))
    return total


def _alike(what, real, generated):
    """Both as float32 tensors of rank 4, with the same shape as far as it is known."""
    real, generated = ops.convert_to_tensor(real, "float32"), ops.convert_to_tensor(generated, "float32")
    shapes = tuple(real.shape), tuple(generated.shape)
    if any(len(s) != 4 for s in shapes) or any(a != b and None not in (a, b) for a, b in zip(*shapes)):
        raise ValueError(
            f"{what} must have the same shape (batch, height, width, channels); got {shapes[0]} and {shapes[1]}."
        )
    return real, generated


def _pixels(name, real, generated):
    real, generated = _alike(f"{name}: real and generated images", real, generated)
    if real.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: images must have 1 or 3 channels in the last axis; got {tuple(real.shape)}.")
    if 0 in real.shape:
        raise ValueError(f"{name}: images must not be empty; got {tuple(real.shape)}.")
    return real, generated


def _window_means(maps):
    """Gaussian means over all windows that fit, `(batch, height - 10, width - 10, channels)`: down, then across.

    It sums shifted maps instead of convolving. On GPUs, convolutions may round to the ten bits of TensorFloat-32, too
    few for a variance. On a CPU, depthwise convolutions take JAX ten times as long.
    """
    weights = np.exp(-0.5 * ((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) ** 2)
    weights = [float(weight) for weight in weights / weights.sum()]
    maps = sum(weight * maps[:, i : i - _WINDOW + 1 or None] for i, weight in enumerate(weights))
    return sum(weight * maps[:, :, i : i - _WINDOW + 1 or None] for i, weight in enumerate(weights))


def _unit_length(maps):
    """Each position's vector of channels divided by its length; a zero vector stays zero."""
    return maps / ops.sqrt(ops.sum(ops.square(maps), axis=-1, keepdims=True) + 1e-10)
