import numpy as np
import pytest
from keras import ops

from kgen.losses import distillation, label_accuracy, label_cross_entropy
from tests.losses.slopes import slope

pytestmark = pytest.mark.backends

LOGITS = np.float32([[1.0, 2.0, 0.5], [-60.0, 60.0, 0.0], [0.0, 0.0, 3.0]])
LABELS = [1, 0, 2]


def test_cross_entropy_by_hand():
    wide = LOGITS.astype("float64")
    expected = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(3), LABELS]
    values = ops.convert_to_numpy(label_cross_entropy(np.eye(3)[LABELS], LOGITS))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values.dtype == np.float32


def test_accuracy():
    np.testing.assert_array_equal(ops.convert_to_numpy(label_accuracy(np.eye(3)[LABELS], LOGITS)), [1.0, 0.0, 1.0])


def test_smoothed_labels():
    labels = np.eye(3)[LABELS]
    smooth = 0.7 * labels + 0.1
    log_shares = LOGITS - np.log(np.exp(LOGITS.astype("float64")).sum(axis=1, keepdims=True))
    values = ops.convert_to_numpy(label_cross_entropy(labels, LOGITS, smoothing=0.3))
    np.testing.assert_allclose(values, -(smooth * log_shares).sum(axis=1), rtol=1e-6)
    # A label that is not known costs nothing, smoothed or not.
    assert ops.convert_to_numpy(label_cross_entropy(np.zeros((1, 3)), LOGITS[:1], smoothing=0.3)) == 0.0


def test_distillation_by_hand():
    teacher, student = np.float32([[2.0, 0.0], [1.0, 1.0]]), np.float32([[0.0, 0.0], [1.0, 1.0]])
    p = 1 / (1 + np.exp(-1.0))  # at temperature 2
    expected = 4 * (p * np.log(p / 0.5) + (1 - p) * np.log((1 - p) / 0.5))
    np.testing.assert_allclose(ops.convert_to_numpy(distillation(teacher, student, 2.0)), [expected, 0.0], atol=1e-6)


def test_the_gradient_of_distillation_is_hintons():
    # dL/dz = T (q - p), with respect to the student's logits; nothing flows to the teacher.
    teacher, temperature = np.float32([[2.0, 0.0, -1.0]]), 3.0
    _, gradient = slope(lambda logits: distillation(teacher, logits, temperature), LOGITS[:1])
    shares = [np.exp(z / temperature) / np.exp(z / temperature).sum() for z in (LOGITS[0], teacher[0])]
    np.testing.assert_allclose(gradient[0], temperature * (shares[0] - shares[1]), rtol=1e-5)
    _, gradient = slope(lambda logits: distillation(logits, LOGITS[:1], temperature), teacher)
    np.testing.assert_array_equal(gradient, 0.0)
