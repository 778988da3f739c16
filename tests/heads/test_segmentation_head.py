import numpy as np
import pytest
from keras import ops

from kgen.heads import SegmentationHead

SHAPE = (5, 8, 8)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="dice_weight must be a number of at least 0; got -1"):
        SegmentationHead(3, dice_weight=-1)
    with pytest.raises(ValueError, match="at most 256 classes, as masks are uint8; got 257"):
        SegmentationHead(257)


@pytest.mark.parametrize(
    "masks, message",
    [
        (
            np.zeros((5, 8, 4), "uint8"),
            r"masks must have shape \(5, 8, 8\), one class number per pixel; got \(5, 8, 4\)",
        ),
        (np.zeros((5, 8, 8, 1), "uint8"), r"got \(5, 8, 8, 1\)"),
        (np.zeros(SHAPE), "masks must be integers; got float64"),
        (np.full(SHAPE, 3, "uint8"), "masks must be in 0 .. 2; got 3 to 3"),
        (np.full(SHAPE, -1), "masks must be in 0 .. 2; got -1 to -1"),
    ],
)
def test_wrong_masks(masks, message):
    with pytest.raises(ValueError, match=message):
        SegmentationHead(3).check("Model", masks, SHAPE)


@pytest.mark.backends
def test_mean_iou_by_hand():
    head = SegmentationHead(2, dice_weight=3.0)
    masks = np.uint8([[[0, 0], [1, 1]]])
    seen = np.uint8([[[0, 1], [1, 1]]])
    metric, targets = head.metric(), head.prepare(ops.convert_to_tensor(masks))
    logits = ops.convert_to_tensor(10 * np.eye(2, dtype="float32")[seen])
    head.measure(metric, targets, logits)
    np.testing.assert_allclose(float(metric.result()), (1 / 2 + 2 / 3) / 2, rtol=1e-6)
    answers = ops.convert_to_numpy(head.answer(logits))
    np.testing.assert_array_equal(answers, seen)
    assert answers.dtype == "uint8"
    parts = head.loss(targets, logits)
    assert set(parts) == set(head.terms)
    np.testing.assert_allclose(
        ops.convert_to_numpy(parts["dice"]), 3 * (1 - (3 / 4 + 5 / 6) / 2), rtol=1e-3, err_msg="2 of 1 + 2, 4 of 2 + 3"
    )
