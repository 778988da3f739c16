"""Operations that every export format supports."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def largest(x: Tensor) -> Tensor:
    """The index of the largest number along the last axis, int32; the first one if several are equal.

    Keras' own `argmax` inspects the bits of floats, which current ONNX runtimes do not support.

    Example:

    ```python
    largest(ops.convert_to_tensor([[0.1, 0.7, 0.2]]))      # [1]
    ```
    """
    return ops.cast(ops.top_k(x, 1)[1][..., 0], "int32")
