"""Operations that the files of every format can say."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def largest(x: Tensor) -> Tensor:
    """Where the largest number of the last axis is, int32; the first of equal ones.

    Keras' own `argmax` looks at the bits of floats, which no ONNX file that runtimes read today can do.

    Example:

    ```python
    largest(ops.convert_to_tensor([[0.1, 0.7, 0.2]]))      # [1]
    ```
    """
    return ops.cast(ops.top_k(x, 1)[1][..., 0], "int32")
