import keras
import numpy as np
import pytest

from kgen.metrics.replica_rows import ReplicaRows


@pytest.mark.backends
@pytest.mark.parametrize("precise, tolerance", [(True, 1e-13), (False, 1e-7)])
def test_what_is_assigned_is_read(precise, tolerance):
    metric = keras.metrics.Metric(name="owner")
    rows = ReplicaRows(metric, "x", (3,), precise)
    assert rows.read().tolist() == [[0.0, 0.0, 0.0]]
    value = np.array([1 / 3, 1e8 + 1 / 7, -2e-5])
    rows.assign(value if precise else value.astype("float32"), np)
    assert rows.read().shape == (1, 3)
    np.testing.assert_allclose(rows.read()[0], value, rtol=tolerance)
    np.testing.assert_allclose(rows.own(np), value, rtol=tolerance)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(rows.own(keras.ops)), value, rtol=1e-7)
    metric.reset_state()
    assert not rows.read().any()


@pytest.mark.backends
def test_scalars():
    rows = ReplicaRows(keras.metrics.Metric(name="owner"), "count", ())
    rows.assign(rows.own(np) + 2.0, np)
    rows.assign(rows.own(keras.ops) + 3.0, keras.ops)
    assert rows.read().tolist() == [5.0]
