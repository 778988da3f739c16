"""Strided convolutions on small grids as one matrix product.

If a convolution ends in a 4 x 4 grid, or a transposed one starts from it, TensorFlow's CPU kernels reach half the speed
of a matrix product, and less on smaller grids. So this lays out the patches that the filters see as rows of a matrix:

    y = patches(x) K,    x' = fold(y K^T)

The first is a convolution, the second a transposed one. `fold` adds up overlapping patches; each of the two functions
is the other's gradient. With strides of 2, patches are shifted blocks of 2 x 2 pixels (space to depth). Sums run in a
different order than in the kernels, so results differ in the last bits. Weights stay in the layer.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

# The largest small grid. On 8 x 8, laying out the patches costs more than it gains.
_MOST_PLACES = 16
# The least weights per position in the kernel (channels times filters), by the kernel's side. 5 x 5 kernels are padded
# to 6 x 6, so they need more to gain anything. Measured on one core, see docs/measured/speed.md.
_LEAST_WEIGHTS = {4: 128 * 256, 5: 256 * 512}


def can_use(layer: keras.layers.Layer) -> bool:
    """Whether it is a plain convolution of many weights, with strides of 2, forward or transposed."""
    if type(layer) is keras.layers.Conv2D:
        plain = layer.groups == 1 and not layer.lora_enabled
    else:
        plain = type(layer) is keras.layers.Conv2DTranspose and layer.output_padding is None
    return (
        plain
        and layer.built
        and layer.kernel_size in ((4, 4), (5, 5))
        and layer.strides == (2, 2)
        and layer.dilation_rate == (1, 1)
        and layer.padding == "same"
        and layer.data_format == "channels_last"
        and layer.kernel.shape[2] * layer.kernel.shape[3] >= _LEAST_WEIGHTS[layer.kernel_size[0]]
    )


def call_of(layer: keras.layers.Layer) -> Callable | None:
    """The replacement for the layer's `call`; None if the layer cannot use it."""
    if not can_use(layer):
        return None
    by_keras, transposed = layer.call, type(layer) is keras.layers.Conv2DTranspose

    def call(inputs):
        if not _is_small(*inputs.shape[1:3], 1 if transposed else 2):
            return by_keras(inputs)
        outputs = (_spread if transposed else _gathered)(inputs, tf.convert_to_tensor(layer.kernel))
        if layer.use_bias:
            outputs = outputs + tf.convert_to_tensor(layer.bias)
        return layer.activation(outputs)

    return call


def _is_small(height, width, strides):
    """Whether an image has a known size, divisible by the strides, and few strides fit into it."""
    if height is None or width is None or height % strides or width % strides:
        return False
    return (height // strides) * (width // strides) <= _MOST_PLACES


def _gathered(images, kernel):
    """The convolution of `(N, 2 h, 2 w, C)` with a kernel `(k, k, C, F)`: `(N, h, w, F)`."""
    matrix = _matrix(kernel)
    patches = _patches(images, kernel.shape[0])
    outputs = tf.matmul(tf.reshape(patches, (-1, matrix.shape[0])), matrix)
    return tf.reshape(outputs, (-1, *patches.shape[1:3], matrix.shape[1]))


def _spread(grid, kernel):
    """The transposed convolution of `(N, h, w, C)` with a kernel `(k, k, F, C)`: `(N, 2 h, 2 w, F)`."""
    matrix, (height, width, channels) = _matrix(kernel), grid.shape[1:]
    patches = tf.matmul(tf.reshape(grid, (-1, channels)), matrix, transpose_b=True)
    shifts = _blocks(kernel.shape[0]) ** 2
    return _folded(tf.reshape(patches, (-1, height, width, shifts, matrix.shape[0] // shifts)), kernel.shape[0])


def _blocks(side):
    """The width of a kernel in blocks of 2 x 2 pixels."""
    return -(-side // 2)


def _matrix(kernel):
    """A kernel `(k, k, C, F)`, padded to an even k, as a matrix `(m m 4 C, F)` for `_patches`."""
    side, _, channels, filters = kernel.shape
    m = _blocks(side)
    kernel = tf.pad(kernel, [[0, 2 * m - side]] * 2 + [[0, 0]] * 2)
    kernel = tf.transpose(tf.reshape(kernel, (m, 2, m, 2, channels, filters)), (0, 2, 1, 3, 4, 5))
    return tf.reshape(kernel, (4 * m * m * channels, filters))


def _border(side):
    """Rows of zeros before and after an image: "same" padding, and after it what the padded kernel needs more."""
    before = (side - 2) // 2
    return [before, 2 * (_blocks(side) - 1) - before]


def _patches(images, side):
    """The patches `(N, h, w, shifts, 4 C)` of images `(N, 2 h, 2 w, C)`; the gradient is `_folded`."""

    @tf.custom_gradient
    def laid_out(images):
        border, m = _border(side), _blocks(side)
        height, width = images.shape[1] // 2, images.shape[2] // 2
        blocks = tf.nn.space_to_depth(tf.pad(images, [[0, 0], border, border, [0, 0]]), 2)
        shifted = [blocks[:, i : i + height, j : j + width] for i in range(m) for j in range(m)]
        return tf.stack(shifted, axis=3), lambda slope: _folded(slope, side)

    return laid_out(images)


def _folded(patches, side):
    """Images as the sum of overlapping patches; the gradient is `_patches`."""

    @tf.custom_gradient
    def added_up(patches):
        (before, _), m = _border(side), _blocks(side)
        height, width = 2 * patches.shape[1], 2 * patches.shape[2]
        shifted = [
            tf.pad(patches[:, :, :, m * i + j], [[0, 0], [i, m - 1 - i], [j, m - 1 - j], [0, 0]])
            for i in range(m)
            for j in range(m)
        ]
        images = tf.nn.depth_to_space(tf.add_n(shifted), 2)
        return images[:, before : before + height, before : before + width], lambda slope: _patches(slope, side)

    return added_up(patches)
