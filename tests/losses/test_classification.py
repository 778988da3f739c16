import numpy as np
import pytest
from keras import ops

from kgen.losses import label_accuracy, label_cross_entropy

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
