"""A layer whose weight matrix is divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.checks import integer
from kgen.serializable import serializable
from kgen.types import Tensor

WRAPPABLE = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.Embedding,
)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


@serializable
class SpectralNormalization(keras.layers.Layer):
    """Runs a linear layer with W / sigma(W) in place of its weights W, which bounds a discriminator's slope.

        v, u: left and right singular vectors of W by power iteration,    sigma = v^T W u

    (Miyato et al. 2018). W is the kernel as a matrix, inputs and taps by outputs. The only state is u: a call in
    training improves it by `power_iterations` steps, other calls do not change it. The kernel itself is never written;
    gradients flow through sigma with u and v held constant. The layer is linear, so W / sigma applied to x equals W
    applied to x / sigma; the latter is computed. The wrapped layer stays as it is, so this also works within traces,
    nested scopes and second derivatives.

    Args:
        layer: a `Dense`, `Conv`, `ConvTranspose` or `Embedding` layer.
        power_iterations: steps of power iteration in each call, at least 1.

    Raises:
        TypeError: if `layer` is of another kind.
        ValueError: if `power_iterations` is below 1.

    Example:
        ```python
        layer = SpectralNormalization(keras.layers.Conv2D(8, 3, padding="same"))
        layer(keras.random.normal((2, 8, 8, 3)), training=True).shape  # (2, 8, 8, 8)
        ```
    """

    def __init__(self, layer: keras.layers.Layer, power_iterations: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(layer, WRAPPABLE):
            raise TypeError(
                "SpectralNormalization: layer must be a Dense, Conv, ConvTranspose or Embedding layer; "
                f"got {type(layer).__name__}."
            )
        self.layer = layer
        self.power_iterations = integer("SpectralNormalization", "power_iterations", power_iterations)

    def build(self, input_shape: tuple) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
        self.u = self.add_weight(
            shape=(self._matrix().shape[-1],),
            initializer="random_normal",
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="only_first_replica",  # it follows from the kernel, so replicas agree
            name="u",
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        sigma = self.spectral_norm(update=bool(training))
        if isinstance(self.layer, keras.layers.Embedding):
            outputs = self.layer(inputs)
            return outputs / ops.cast(sigma, outputs.dtype)
        return self.layer(inputs / ops.cast(sigma, inputs.dtype))

    def spectral_norm(self, update: bool = False) -> Tensor:
        """The largest singular value of the kernel, a float32 scalar through which gradients flow.

        Args:
            update: keep the improved singular vector for the next call.
        """
        matrix = self._matrix()
        constant = ops.stop_gradient(matrix)
        u = self.u.value
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(constant, u), axis=0)
            u = ops.normalize(ops.matmul(v, constant), axis=0)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        if update:
            self.u.assign(u)
        return ops.sum(ops.matmul(v, matrix) * u)

    def _matrix(self):
        """The kernel as a float32 matrix (inputs and taps, outputs)."""
        if isinstance(self.layer, keras.layers.Embedding):
            return ops.cast(self.layer.embeddings, "float32")
        kernel = ops.cast(self.layer.kernel, "float32")
        if isinstance(self.layer, TRANSPOSED):
            kernel = ops.swapaxes(kernel, -1, -2)  # their kernels are stored as (..., outputs, inputs)
        return ops.reshape(kernel, (-1, kernel.shape[-1]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.layer.compute_output_shape(input_shape)
