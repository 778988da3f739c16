import numpy as np
import pytest

from kgen.sampling.tiles import Tiles


@pytest.mark.parametrize("size", [(8, 8), (30, 45), (64, 64), (65, 200), (97, 333)])
@pytest.mark.parametrize("scale", [1, 2])
def test_what_each_tile_leaves_as_it_is_comes_out_as_it_was(size, scale):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype("uint8")
    tiles = Tiles(size, tile=64, overlap=24, scale=scale)
    seen = []

    def function(parts):
        seen.append(parts["images"].shape)
        return np.repeat(np.repeat(parts["images"] / 255, scale, axis=1), scale, axis=2)

    found = tiles.computed(function, {"images": image})
    np.testing.assert_array_equal(found, np.repeat(np.repeat(image, scale, axis=0), scale, axis=1))
    assert found.dtype == "uint8" and len({shape[1:] for shape in seen}) == 1
    assert max(seen[0][1:3]) <= 64


def test_the_outer_quarter_of_an_overlap_counts_for_nothing_and_weights_sum_to_1():
    tiles = Tiles((64, 400), tile=64, overlap=24)
    assert all(start % 8 == 0 for start in tiles.columns)
    assert np.all(np.diff(tiles.columns) <= 64 - 24) and tiles.columns[-1] == 400 - 64
    np.testing.assert_array_equal(tiles.column_weights[1][[0, 5, -6, -1]], 0)
    assert tiles.column_weights[0][0] == tiles.column_weights[-1][-1] == 1
    total = np.zeros(400)
    for start, weights in zip(tiles.columns, tiles.column_weights):
        total[start : start + 64] += weights
        assert np.all(np.abs(np.diff(weights)) < 0.1)  # no seam
    np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"tile": 60}, {"overlap": 40}, {"overlap": 12}, {"overlap": 0}, {"tile": 64.0}])
def test_arguments(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"Tiles: {name} must be an? (multiple of 8|integer) .* got {value}"):
        Tiles((64, 64), **{"tile": 64, "overlap": 16, **wrong})
