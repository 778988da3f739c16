import numpy as np

from kgen.sampling.k_means import far_apart, k_means, squared_distances


def test_k_means_finds_clusters():
    random = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    truth = random.integers(3, size=90)
    points = centers[truth] + 0.1 * random.normal(size=(90, 2))
    kinds, means = k_means(points, 3, np.random.default_rng(1))
    assert len(set(zip(truth, kinds))) == 3
    np.testing.assert_allclose(means[kinds], centers[truth], atol=0.2)


def test_beginnings_are_far_apart():
    points = np.repeat([[0.0], [1.0], [9.0]], [50, 50, 1], axis=0)
    assert sorted(far_apart(points, 3, np.random.default_rng(0))[:, 0]) == [0.0, 1.0, 9.0]
    assert far_apart(np.ones((3, 2)), 2, np.random.default_rng(0)).tolist() == [[1.0, 1.0]] * 2
    np.testing.assert_allclose(squared_distances(points[[0, 100]], np.array([[3.0]])), [[9.0], [36.0]])
