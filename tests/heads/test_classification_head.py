import numpy as np
import pytest
from keras import ops

from kgen.heads import ClassificationHead

SHAPE = (5, 8, 8)


@pytest.mark.parametrize("arguments", [{"dropout": 1.0}, {"label_smoothing": -0.1}])
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=f"ClassificationHead: {next(iter(arguments))} must be"):
        ClassificationHead(3, **arguments)


def test_numbers_for_names():
    head = ClassificationHead(class_names=["cat", "dog"])
    for names in (
        ["dog", "cat"],
        ("dog", "cat"),
        np.array(["dog", "cat"]),
        np.array(["dog", "cat"], object),
        np.array([b"dog", b"cat"]),
    ):
        np.testing.assert_array_equal(head.numbered("Model", names), [1, 0])
    assert head.numbered("Model", [1, 0]).tolist() == [1, 0] and head.numbered("Model", None) is None
    beyond_ascii = ClassificationHead(class_names=["狗", "猫"])
    np.testing.assert_array_equal(beyond_ascii.numbered("Model", ["猫".encode(), "狗".encode()]), [1, 0])
    with pytest.raises(ValueError, match="Model: unknown class 'cow'; the classes are 'cat', 'dog'"):
        head.numbered("Model", ["dog", "cow"])


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(4, int), r"labels must be 5 integers, one for each image; got shape \(4,\)"),
        (np.zeros((5, 3), int), r"got shape \(5, 3\)"),
        (np.zeros(5), "labels must be integers; got float64"),
        (np.arange(5), "labels must be in -1 .. 2; got 0 to 4"),
        (np.full(5, -2), "labels must be in -1 .. 2; got -2 to -2"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        ClassificationHead(3).check("Model", labels, SHAPE)


@pytest.mark.backends
def test_a_class_that_is_not_known_neither_teaches_nor_counts():
    head = ClassificationHead(3, label_smoothing=0.2)
    targets = head.prepare(ops.convert_to_tensor(np.int32([0, -1, 2])))
    np.testing.assert_array_equal(ops.convert_to_numpy(targets), [[1, 0, 0], [0, 0, 0], [0, 0, 1]])
    logits = np.float32([[3, 0, 0], [3, 0, 0], [3, 0, 0]])
    assert [value > 0 for value in ops.convert_to_numpy(head.loss(targets, logits)["loss"])] == [True, False, True]
    metric = head.metric()
    head.measure(metric, targets, logits)
    assert metric.name == "accuracy" and float(metric.result()) == 0.5
    np.testing.assert_allclose(ops.convert_to_numpy(head.answer(ops.convert_to_tensor(logits))).sum(axis=1), 1.0)
