"""How often a discriminator tells real pictures from generated ones."""

from __future__ import annotations

from keras import ops


def pair_accuracy(first_logits, second_logits, difference=1.0):
    """How often the more real picture of a pair has the higher logit; equal logits count half.

    0.5 says that a discriminator cannot tell, 1 that it always wins. As only the order of logits counts, it reads the
    same for every loss.

    Args:
        first_logits, second_logits: `(batch,)`.
        difference: by how much the first picture of a pair is the more real one: 1 for a real one beside a generated
            one; for mixed pictures `(batch,)` in [-1, 1]. Pairs count in proportion, as two pictures that are equally
            real have no order.

    Returns:
        Tensor `(batch,)`, whose mean is the share, weighted by `difference`.

    Example:

    ```python
    kgen.losses.pair_accuracy(keras.ops.array([2.0, 0.0, 1.0]), keras.ops.array([1.0, 1.0, 1.0]))     # [1, 0, 0.5]
    ```
    """
    difference = ops.convert_to_tensor(difference, "float32")
    # No batch of shares is all the same, but for a batch of one.
    weight = difference / ops.maximum(ops.mean(ops.abs(difference)), 1e-6)
    return 0.5 + 0.5 * weight * ops.sign(first_logits - second_logits)
