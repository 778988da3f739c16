import numpy as np

from kgen.inference.descent import descend


def test_each_row_comes_to_its_own_minimum():
    target = np.array([[1.0, -2.0], [0.5, 0.0]], "float32")
    steps = []

    def slope(points, step):
        steps.append(step)
        return (points - target) * [[1.0, 10.0], [0.01, 1.0]]

    found = descend(slope, np.zeros((2, 2), "float32"), 200)
    np.testing.assert_allclose(found, target, atol=0.02)
    assert found.dtype == np.float32 and steps == list(range(200))


def test_the_first_step_has_the_size_of_the_rate():
    found = descend(lambda points, step: np.array([[3.0, -1e-3]]), np.zeros((1, 2), "float32"), 1, rate=0.5)
    np.testing.assert_allclose(found, [[-0.5, 0.5]], rtol=1e-3)
