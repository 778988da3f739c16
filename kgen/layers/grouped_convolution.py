"""Grouped and depthwise convolutions that are fast on every backend, even on a CPU; on torch, plain ones too."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class GroupedConvolution2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose `groups` save time on every machine.

    Group i of the output channels sees only group i of the input channels, which takes 1 / groups of the work
    (Krizhevsky et al. 2012; Xie et al. 2017, "Aggregated Residual Transformations for Deep Neural Networks"). The
    kernel, `(height, width, channels / groups, filters)`, and the result are those of `Conv2D`; inputs are
    `(B, H, W, C)`, channels last.

    TensorFlow and JAX have no fast grouped convolution on CPU. For 3x3, 128 to 128 channels in 8 groups, on 64 images
    of 14x14, forward and backward on one core, they took 3.5 s and 2.1 s; 8 separate convolutions took 0.04 s and
    0.05 s, a dense convolution 0.1 s, and torch's grouped one 0.02 s. So on a CPU these two convolve the groups one by
    one. On an accelerator, and with torch, all groups run at once.

    On torch, Keras copies the images of each convolution twice: to channels first in memory, and back. This layer gives
    torch a view of them and copies nothing, whatever the number of groups.

    Args:
        filters: channels of the output.
        kernel_size: integer or pair.
        groups: number of groups; it must divide the input's channels and `filters`.
        **kwargs: as in `keras.layers.Conv2D`; `data_format` must be `"channels_last"`.

    Raises:
        ValueError: if `groups` does not divide the channels, or for another `data_format`.

    Example:
        ```python
        GroupedConvolution2D(32, 3, groups=4, padding="same")(keras.random.normal((2, 8, 8, 16))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], groups: int = 1, **kwargs: Any):
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(filters, kernel_size, groups=groups, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(f"GroupedConvolution2D: data_format must be 'channels_last'; got {self.data_format!r}.")

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if keras.backend.backend() == "torch":
            return _by_views(ops.conv, inputs, kernel, self)
        if self.groups == 1 or _groups_are_quick():
            return super().convolution_op(inputs, kernel)
        convolve = super().convolution_op  # it reads the number of groups from the shape of the kernel
        parts = zip(ops.split(inputs, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1))
        return ops.concatenate([convolve(part, part_kernel) for part, part_kernel in parts], axis=-1)


@serializable
class DepthwiseConvolution2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` that is fast on a CPU with JAX and torch too.

        y[a, b, c] = sum_ij k[i, j, c] x[stride a + i, stride b + j, c]

    XLA has no fast depthwise convolution on a CPU. So with JAX the sum is written out there, one shifted image per
    kernel position, and XLA fuses it into one loop. On one core, 3x3 on 144 channels of 56x56 takes 1 ms per image
    instead of 16 ms. On torch it uses a view, like `GroupedConvolution2D`. Weights and results are those of Keras'
    layer; inputs are `(B, H, W, C)`, channels last.

    Args:
        kernel_size: integer or pair.
        **kwargs: as in `keras.layers.DepthwiseConv2D`; `data_format` must be `"channels_last"`.

    Raises:
        ValueError: for another `data_format`.

    Example:
        ```python
        DepthwiseConvolution2D(3, padding="same")(keras.random.normal((2, 8, 8, 16))).shape      # (2, 8, 8, 16)
        ```
    """

    def __init__(self, kernel_size: int | tuple[int, int], **kwargs: Any):
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(kernel_size, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(f"DepthwiseConvolution2D: data_format must be 'channels_last'; got {self.data_format!r}.")

    def call(self, inputs: Tensor) -> Tensor:
        if keras.backend.backend() == "torch":
            outputs = _by_views(ops.depthwise_conv, inputs, self.kernel, self)
        elif self.depth_multiplier == 1 and self.dilation_rate == (1, 1) and _shifts_are_quick():
            outputs = self._shifted(inputs)
        else:
            return super().call(inputs)
        outputs = outputs + self.bias if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)

    def _shifted(self, inputs):
        (high, wide), (down, right) = self.kernel_size, self.strides
        _, rows, columns, _ = self.compute_output_shape(inputs.shape)
        if self.padding == "same":
            # As in TensorFlow: an odd border has its extra pixel below, and on the right.
            sides = (rows, high, down, inputs.shape[1]), (columns, wide, right, inputs.shape[2])
            missing = [max((count - 1) * stride + size - had, 0) for count, size, stride, had in sides]
            inputs = ops.pad(inputs, [(0, 0), *((each // 2, each - each // 2) for each in missing), (0, 0)])
        below, beside = (rows - 1) * down + 1, (columns - 1) * right + 1
        kernel = ops.cast(self.kernel, inputs.dtype)
        return sum(
            inputs[:, i : i + below : down, j : j + beside : right] * kernel[i, j, :, 0]
            for i in range(high)
            for j in range(wide)
        )


def _by_views(convolve, inputs, kernel, layer):
    """On torch, a convolution of channels-last images, done channels first on views."""
    options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
    # Channels must come last in memory, whatever made the images. If they do already, this copies nothing.
    inputs = ops.transpose(inputs.contiguous(), (0, 3, 1, 2))
    outputs = convolve(inputs, kernel, data_format="channels_first", **options)
    return ops.transpose(outputs, (0, 2, 3, 1))


def _groups_are_quick():
    """Whether the backend convolves groups quickly on this machine."""
    return keras.backend.backend() == "torch" or not _on_cpu()


def _shifts_are_quick():
    """Whether a sum of shifted images is quicker here than the backend's depthwise convolution."""
    return keras.backend.backend() == "jax" and _on_cpu()


def _on_cpu():
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())
