import tracemalloc

import numpy as np
import pytest

from kgen.metrics import nearest_neighbors
from kgen.metrics.nearest_neighbors import density_coverage, precision_recall
from tests.checks.published import published


def all_four(real, generated, neighbors):
    return precision_recall(real, generated, neighbors) + density_coverage(real, generated, neighbors)


def by_definition(real, generated, neighbors, swell=1.0):
    """Precision, recall, density, coverage from all differences: exact for whole numbers. `swell` multiplies radii."""

    def distances(x, y):
        return ((x[:, None].astype("float64") - y[None].astype("float64")) ** 2).sum(axis=-1)

    real_radii = swell * np.sort(distances(real, real), axis=1)[:, neighbors]
    generated_radii = swell * np.sort(distances(generated, generated), axis=1)[:, neighbors]
    across = distances(real, generated)
    precision = (across <= real_radii[:, None]).any(axis=0).mean()
    recall = (across <= generated_radii).any(axis=1).mean()
    inside = across < real_radii[:, None]
    return precision, recall, inside.sum(axis=0).mean() / neighbors, inside.any(axis=1).mean()


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@pytest.mark.parametrize("neighbors", [1, 3, 5])
@pytest.mark.parametrize("dim, offset", [(2, 0.0), (24, 0.0), (24, 300.0)])
def test_agrees_with_the_authors_of_density_and_coverage(draw, neighbors, dim, offset):
    prdc = pytest.importorskip("prdc")
    real, generated = draw.normal(size=(150, dim)) + offset, 0.9 * draw.normal(size=(110, dim)) + 0.1 + offset
    expected = prdc.compute_prdc(real, generated, nearest_k=neighbors)
    result = all_four(real, generated, neighbors)
    assert 0.0 < min(result) and result[0] < 1.0
    np.testing.assert_allclose(
        result, [expected[k] for k in ("precision", "recall", "density", "coverage")], rtol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("neighbors", [1, 3])
def test_agrees_with_torch_fidelity(draw, neighbors, tmp_path):
    real, generated = draw.normal(size=(150, 24)), 0.9 * draw.normal(size=(110, 24)) + 0.1
    (expected,) = published(
        "torch_fidelity.metric_prc:prc_features_to_metric",
        [[generated, real]],
        tmp_path,
        as_tensors=True,
        prc_neighborhood=neighbors,
        prc_batch_size=1000,
        save_cpu_ram=False,
        verbose=False,
    )
    # It takes the mean of ones and zeros in float32.
    result = precision_recall(real, generated, neighbors)
    np.testing.assert_allclose(result, [expected["precision"], expected["recall"]], rtol=1e-6)


@pytest.mark.parametrize("scale, offset", [(1.0, 0.0), (1.0, 1e6), (0.1, 0.0)])
@pytest.mark.parametrize("neighbors", [1, 4])
def test_ties_fall_as_in_exact_arithmetic(draw, neighbors, scale, offset):
    # On a grid, most radii tie with distances: rounding must not decide them.
    real, generated = draw.permutation(np.indices((6, 6, 6)).reshape(3, -1).T)[:180].reshape(2, 90, 3)
    generated[:30] = real[:30]
    expected = by_definition(real, generated, neighbors)
    # Such ties there are: balls that are a little smaller or larger hold others.
    assert expected[0] > by_definition(real, generated, neighbors, 0.999)[0]
    assert expected[2] < by_definition(real, generated, neighbors, 1.001)[2]
    result = all_four(scale * real + offset, scale * generated + offset, neighbors)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_what_is_just_inside_and_just_outside():
    real = np.array([[0.0, 0.0], [1.0, 0.0]])
    for outside, expected in ((1e-11, (0.0, 0.0)), (-1e-11, (1.0, 1.0))):
        generated = np.array([[-1.0 - outside, 0.0], [2.0 + outside, 0.0]])
        assert (precision_recall(real, generated, 1)[0], density_coverage(real, generated, 1)[0]) == expected


def test_by_hand():
    real = np.array([[0.0], [1.0], [3.0], [7.0]])  # radii to the nearest other: 1, 1, 2, 4
    generated = np.array([[-1.0], [3.5], [20.0], [21.0]])  # radii: 4.5, 4.5, 1, 1
    # -1 lies on the surface of the first ball; 3.5 lies in those of 3 and of 7; 20 and 21 in none.
    assert precision_recall(real, generated, neighbors=1) == (0.5, 1.0)
    assert density_coverage(real, generated, neighbors=1) == (0.5, 0.5)
    assert precision_recall(generated, real, neighbors=1) == (1.0, 0.5)


@pytest.mark.parametrize("dim", [1, 7, 1280])
@pytest.mark.parametrize("offset", [0.0, 0.1, 1e4])
def test_a_set_against_itself(draw, dim, offset):
    points = draw.normal(size=(40, dim)) + offset
    assert all_four(points, points[::-1], 3) == pytest.approx((1.0, 1.0, 1.0, 1.0), rel=1e-12)
    # Balls around more than k equal points have radius 0 and hold what is there, and no more.
    copies = np.repeat(points, 6, axis=0)
    assert all_four(copies, copies[::-1], 3) == pytest.approx((1.0, 1.0, 1.0, 1.0), rel=1e-12)
    assert all_four(copies, copies + 1e-3, 3) == (0.0, 0.0, 0.0, 0.0)


def test_constant_features():
    real = np.full((8, 5), 0.3)
    assert all_four(real, real[:6], 3) == pytest.approx((1.0, 1.0, 1.0, 1.0), rel=1e-12)
    assert all_four(real, real + 1e-6, 3) == (0.0, 0.0, 0.0, 0.0)
    zeros = np.zeros((8, 5))
    assert all_four(zeros, zeros, 3) == (1.0, 1.0, 1.0, 1.0)


def test_precision_sees_quality_and_recall_diversity(draw):
    real = draw.normal(size=(300, 4))
    narrow, wide = 0.3 * draw.normal(size=(300, 4)), 4.0 * draw.normal(size=(300, 4))
    precision, recall = precision_recall(real, narrow)
    density, coverage = density_coverage(real, narrow)
    assert precision > 0.95 and recall < 0.3 and density > 1.1 and coverage < 0.7
    precision, recall = precision_recall(real, wide)
    density, _ = density_coverage(real, wide)
    assert precision < 0.3 and recall > 0.9 and density < 0.2
    assert precision_recall(real, wide) == precision_recall(wide, real)[::-1]
    assert precision_recall(real, wide, neighbors=10) > precision_recall(real, wide, neighbors=3)


def test_digits_survive_far_from_the_origin(draw):
    real, generated = draw.normal(size=(80, 6)), draw.normal(size=(90, 6))
    expected = all_four(real, generated, 3)
    np.testing.assert_allclose(all_four(real + 1e7, generated + 1e7, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(all_four(1e-8 * real, 1e-8 * generated, 3), expected, rtol=1e-12)
    single = all_four(real.astype("float32"), generated.astype("float32"), 3)
    np.testing.assert_allclose(single, expected, rtol=1e-12)


@pytest.mark.parametrize("block", [1, 500, 2**23])
def test_any_block_gives_the_same(draw, block, monkeypatch):
    real, generated = draw.normal(size=(83, 6)), draw.normal(size=(59, 6))
    expected = by_definition(real, generated, 3)
    monkeypatch.setattr(nearest_neighbors, "_BLOCK", block)
    np.testing.assert_allclose(all_four(real, generated, 3), expected, rtol=1e-12)


def test_memory_is_that_of_blocks(draw, monkeypatch):
    points = draw.normal(size=(2000, 2))
    monkeypatch.setattr(nearest_neighbors, "_BLOCK", 2**16)
    tracemalloc.start()
    all_four(points, points, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 8 * 2**16 < 8 * 2000**2 / 8


@pytest.mark.parametrize("measure", [precision_recall, density_coverage])
def test_bad_features_are_refused(draw, measure):
    name = measure.__name__
    points = draw.normal(size=(6, 3))
    with pytest.raises(ValueError, match=rf"{name}: 6 neighbors need 7 points or more; got \(9, 3\) real and \(6, 3\)"):
        measure(draw.normal(size=(9, 3)), points, neighbors=6)
    with pytest.raises(ValueError, match=rf"{name}: .*same dim; got \(6, 3\) real and \(6, 2\) generated"):
        measure(points, points[:, :2])
    with pytest.raises(ValueError, match=rf"{name}: .*\(points, dim\)"):
        measure(points[0], points)
    with pytest.raises(ValueError, match=f"{name}: neighbors must be an integer of at least 1; got 0"):
        measure(points, points, neighbors=0)
    bad = points.copy()
    bad[2, 0], bad[4] = np.nan, np.inf
    with pytest.raises(ValueError, match=rf"{name}: 0 real and 2 generated points are not finite; got \(6, 3\)"):
        measure(points, bad)
    with pytest.raises(ValueError, match="2 real and 0 generated"):
        measure(bad, points)
