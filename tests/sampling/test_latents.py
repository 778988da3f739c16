import keras
import numpy as np
import pytest

from kgen.sampling.latents import seeds_and_indices, spherical, truncated, truncation_inputs


# === Seeds ===
def test_one_seed_numbers_its_images():
    seeds, indices = seeds_and_indices("Shade", 0, 2, images_each=3)
    assert seeds.dtype == indices.dtype == "int32"
    assert seeds.tolist() == [0] * 6 and indices.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", [[7, -8], (7, -8), range(7, -9, -15), np.array([7, -8])])
def test_a_seed_each(seed):
    seeds, indices = seeds_and_indices("Shade", seed, 2, images_each=3)
    assert seeds.tolist() == [7, 7, 7, -8, -8, -8] and indices.tolist() == [0, 1, 2, 0, 1, 2]


def test_no_seed_is_another_each_time():
    first, second = (seeds_and_indices("Shade", None, 2)[0].tolist() for _ in range(2))
    assert first[0] == first[1] and first != second


@pytest.mark.parametrize(
    "seed", [1.5, "1", True, [1, 2.5], [[1], [2]], [[0], 1], 2**31, 2**63, 2**70, -(2**31), [0, 2**31]]
)
def test_what_is_no_seed(seed):
    with pytest.raises(ValueError, match=r"Shade: a seed must be an integer below 2\*\*31; got"):
        seeds_and_indices("Shade", seed, 2)


@pytest.mark.parametrize("seed", [[], [1], [1, 2, 3]])
def test_as_many_seeds_as_images(seed):
    with pytest.raises(ValueError, match=f"one seed, or 2 seeds; got {len(seed)} seeds"):
        seeds_and_indices("Shade", seed, 2)


# === Latents ===
@pytest.mark.backends
def test_truncated_latents():
    random = np.random.default_rng(0)
    latents = random.normal(size=(20_000, 1)).astype("float32")
    cut = keras.ops.convert_to_numpy(truncated(latents, np.float32(0.7)))
    assert np.abs(cut).max() <= 0.7 + 1e-5
    # In the same order, and distributed as normal numbers are between -0.7 and 0.7.
    assert (np.diff(cut[np.argsort(latents[:, 0]), 0]) >= -1e-6).all()
    inside = latents[np.abs(latents) < 0.7]
    np.testing.assert_allclose(np.quantile(cut, [0.1, 0.5, 0.8]), np.quantile(inside, [0.1, 0.5, 0.8]), atol=0.03)


def test_what_a_graph_is_given_for_a_truncation():
    assert truncation_inputs("GAN", None, 3) == {}
    given = truncation_inputs("GAN", 0.7, 3)["truncation"]
    assert given.dtype == np.float32 and given.tolist() == [np.float32(0.7)] * 3
    with pytest.raises(ValueError, match="GAN: truncation must be positive, or None; got 0"):
        truncation_inputs("GAN", 0, 3)


def test_the_arc_between_two_vectors():
    first, second = np.array([2.0, 0.0]), np.array([0.0, 4.0])
    points = spherical(first, second, [0.0, 1 / 3, 0.5, 1.0])
    np.testing.assert_allclose(points[[0, 3]], [first, second], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), [2, 2 + 2 / 3, 3, 4])
    np.testing.assert_allclose(np.degrees(np.arctan2(points[:, 1], points[:, 0])), [0, 30, 45, 90], atol=1e-9)
    np.testing.assert_allclose(spherical(first, 2 * first, [0.5]), [[3.0, 0.0]])
