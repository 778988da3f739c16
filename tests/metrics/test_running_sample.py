import keras
import numpy as np
import pytest

from kgen.metrics.running_sample import RunningSample


def running(size, dim=1):
    return RunningSample(keras.metrics.Metric(name="owner"), "x", dim, size)


def fed(sample, rows, batch):
    for start in range(0, len(rows), batch):
        sample.update(rows[start : start + batch])
    return sample.read()


@pytest.mark.backends
def test_keeps_all_that_there_is_room_for():
    rows = np.arange(20, dtype="float32")[:, None]
    assert sorted(fed(running(20), rows, 6)[:, 0]) == list(range(20))
    assert sorted(fed(running(50), rows, 20)[:, 0]) == list(range(20))
    assert running(3).read().shape == (0, 1)


@pytest.mark.backends
def test_beyond_that_the_same_rows_whatever_the_batches():
    rows = np.arange(500, dtype="float32")[:, None]
    kept = [fed(running(40), rows, batch) for batch in (1, 33, 500)]
    np.testing.assert_array_equal(kept[0], kept[1])
    np.testing.assert_array_equal(kept[0], kept[2])
    assert len(np.unique(kept[0])) == 40


def test_early_and_late_rows_are_as_likely():
    rows = np.arange(20_000, dtype="float32")[:, None]
    kept = fed(running(2000), rows, 4000)[:, 0]
    counts, _ = np.histogram(kept, bins=10, range=(0, 20_000))
    assert abs(counts - 200).max() < 4 * np.sqrt(200)


def test_pairs_stay_together():
    rows = np.random.default_rng(0).normal(size=(300, 2)).astype("float32")
    first, second = fed(running(50, 2), rows, 30), fed(running(50, 2), -rows, 30)
    np.testing.assert_array_equal(first, -second)
