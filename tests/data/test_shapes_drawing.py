import numpy as np
import pytest

from kgen.data.shapes_drawing import REACH, SHAPES, coverage

# By hand, for radius 1: circle, square, inscribed triangle, star of 10 triangles, two bars, circle less its hole.
AREAS = {
    "circle": np.pi,
    "square": 4,
    "triangle": 3 * np.sqrt(3) / 4,
    "star": 5 * np.sin(np.pi / 5) * 0.45,
    "cross": 2 * 2 * 0.68 - 0.68**2,
    "ring": np.pi * (1 - 0.52**2),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_area_and_centre(shape):
    mask = coverage(shape, (40.3, 36.7), 20, 80)
    y, x = np.indices(mask.shape) + 0.5
    assert mask.sum() == pytest.approx(AREAS[shape] * (20 * REACH[shape]) ** 2, rel=0.01)
    assert (mask * x).sum() / mask.sum() == pytest.approx(40.3, abs=0.1)
    assert (mask * y).sum() / mask.sum() == pytest.approx(36.7, abs=0.1)


def test_edges_are_soft_and_the_rest_is_not():
    mask = coverage("circle", (16, 16), 8, 32)
    assert mask.min() == 0 and mask.max() == 1
    assert 20 < ((mask > 0) & (mask < 1)).sum() < 80


def test_a_triangle_points_up():
    widths = coverage("triangle", (16, 16), 10, 32).sum(1)
    rows = widths[widths > 1][:-1]  # the last row is partly covered
    assert (np.diff(rows) > -0.01).all() and rows[-1] > 5 * rows[0]


def test_a_shape_may_reach_over_the_edge():
    assert coverage("square", (0, 0), 8, 32).sum() == pytest.approx((8 * REACH["square"]) ** 2, rel=0.05)
    assert not coverage("square", (-20, -20), 4, 32).any()
