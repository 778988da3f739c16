from fractions import Fraction

import numpy as np
import pytest

from kgen.inference.tiled import in_tiles
from kgen.sampling.tiles import Tiles, levels

IMAGES = np.random.default_rng(0).uniform(size=(2, 40, 56, 3)).astype("float32")
MASKS = (IMAGES[..., :1] > 0.5).astype("float32")


class Model:
    """In place of an `ImageModel`; counts the rows of each call."""

    def __init__(self):
        self.rows = []
        self.graphs = self

    def in_batches(self, function, inputs, batch_size, verbose):
        self.rows.append(len(inputs["images"]))
        return function({name: rows[:] for name, rows in inputs.items()})


def shaded(parts):
    return parts["images"] * (1.0 - 0.5 * parts["masks"])


def halved(parts):
    """Means of 8 x 8 pixels."""
    count, height, width, channels = parts["images"].shape
    return parts["images"].reshape(count, height // 8, 8, width // 8, 8, channels).mean(axis=(2, 4))


@pytest.mark.parametrize("tile", [16, 64])
def test_tiles_give_what_the_whole_gives(tile):
    model = Model()
    tiles = Tiles((40, 56), tile, 8)
    found = in_tiles(model, shaded, {"images": IMAGES, "masks": MASKS}, tiles, levels, 4, verbose=0)
    np.testing.assert_array_equal(found, levels(shaded({"images": IMAGES, "masks": MASKS})))
    # One call for small images, or a row of tiles at a time.
    assert model.rows == ([2] if tile == 64 else [6] * 4 * 2)


@pytest.mark.parametrize("tile", [16, 64])
def test_results_smaller_than_the_images(tile):
    tiles = Tiles((40, 56), tile, 8, Fraction(1, 8))
    found = in_tiles(Model(), halved, {"images": IMAGES}, tiles, np.asarray, 4, verbose=0)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, halved({"images": IMAGES}), atol=1e-6)
