from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kgen.inference.stylize import _statistics
from kgen.models import StyleTransfer
from tests.models import tiny_style


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def scaled(images):
    return images.astype("float32") / 127.5 - 1.0


@pytest.fixture(scope="module")
def trained():
    return tiny_style.trained(epochs=80)


@pytest.mark.backends
def test_stylize_any_size(trained):
    content, style = tiny_style.images(3, (22, 31)), tiny_style.stripes(3, (18, 40))
    drawn = trained.stylize(content, style)
    assert drawn.shape == content.shape and drawn.dtype == "uint8"
    one = trained.stylize(content[1], style[1])
    assert one.shape == (22, 31, 3)
    np.testing.assert_allclose(one.astype(int), drawn[1], atol=1)
    # One style for all contents, one content in all styles; floats are images too.
    np.testing.assert_allclose(trained.stylize(content, style[1])[1].astype(int), one, atol=1)
    np.testing.assert_allclose(trained.stylize(content[1], style)[1].astype(int), one, atol=1)
    np.testing.assert_allclose(trained.stylize(scaled(content[1]), scaled(style[1])).astype(int), one, atol=1)


@pytest.fixture(scope="module")
def preset():
    return StyleTransfer.from_preset("style_efficientnet_lite0")


def test_any_size_with_the_preset_that_ships(preset):
    content, style = tiny_style.images(1, (48, 48))[0], tiny_style.stripes(1, (48, 48))[0]
    for height, width in ((32, 33), (34, 35), (37, 42), (47, 46)):
        part = content[:height, :width]
        assert preset.stylize(part, style[:width, :height]).shape == part.shape


@pytest.mark.parametrize("kept", [False, True])
def test_tiles_show_no_seams(trained, kept):
    contents, style = tiny_style.images(2, (77, 90)), tiny_style.images(1, (70, 41), seed=3)[0]
    # One half is dark, and has to stay the darker one.
    contents[:, :, :45] //= 8
    whole = trained.stylize(contents, style, preserve_color=kept, tile=96, overlap=16)
    in_tiles = trained.stylize(contents, style, preserve_color=kept, tile=64, overlap=32)
    assert in_tiles.shape == whole.shape
    # Tiles that know only themselves are 20 levels off.
    assert np.abs(in_tiles.astype(int) - whole).mean() < 3
    np.testing.assert_array_equal(
        trained.stylize(contents[1], style, preserve_color=kept, tile=64, overlap=32), in_tiles[1]
    )


@pytest.mark.backends
def test_statistics_of_parts_are_those_of_the_whole(trained):
    images = scaled(tiny_style.images(2, (67, 50)))
    bordered = np.pad(images, [(0, 0), (8, 8), (8, 8), (0, 0)], mode="symmetric")
    whole, parts = (_statistics(trained, images, np.asarray, tile, 4) for tile in (96, 32))
    np.testing.assert_allclose(whole, array(trained.statistics({"images": bordered})), atol=1e-5)
    np.testing.assert_allclose(parts, whole, atol=1e-3)


def test_a_small_deviation_beside_a_large_mean():
    found = np.array([[100.0, 1e-3], [100.0, 3e-3]], "float32")
    graphs = SimpleNamespace(in_batches=lambda function, inputs, batch_size, verbose: found)
    model = SimpleNamespace(border=8, channels=[1], graphs=graphs, statistics=None)
    images = np.zeros((2, 64, 40, 3), "float32")
    np.testing.assert_allclose(_statistics(model, images, np.asarray, 32, 4), found, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"tile": 24}, "stylize: tile must be an integer of at least 32; got 24"),
        ({"tile": 60}, "stylize: tile must be a multiple of 8 pixels; got 60"),
        ({"overlap": 300}, "stylize: overlap must be an integer from 1 to 256; got 300|multiple of 8 pixels; got 300"),
    ],
)
def test_tiles_that_do_not_fit(trained, wrong, message):
    with pytest.raises(ValueError, match=message):
        trained.stylize(tiny_style.images(1), tiny_style.stripes(1), **wrong)


def test_stripes_of_a_style_are_drawn_in_a_flat_region_beside_an_edge_that_stays(preset):
    content = np.full((48, 48, 3), 60, "uint8")
    content[:, 24:] = 190
    across = np.where(np.arange(48)[:, None, None] % 8 < 4, [30, 60, 150], [220, 200, 120]).astype("uint8")
    style = np.broadcast_to(across, (48, 48, 3))
    for texture, least, most in ((0.0, 0.0, 2.0), (0.65, 8.0, 255.0)):
        grey = preset.stylize(content, style, texture=texture).mean(axis=-1)
        # Differences from row to row, which only the style has, and from column to column, away from the edge.
        down = np.abs(np.diff(grey[8:40, 4:16], axis=0)).mean()
        right = np.abs(np.diff(grey[8:40, 4:16], axis=1)).mean()
        assert least <= down <= most and right < max(2.0, 0.5 * down), (texture, down, right)
        assert grey[:, 28:44].mean() - grey[:, 4:20].mean() > 20


def test_the_style_is_carried_over(trained):
    contents, red, blue = tiny_style.images(4), tiny_style.stripes()[1], tiny_style.stripes()[0]
    for style, channel in ((red, 0), (blue, 2)):
        drawn = trained.stylize(contents, style).mean(axis=(0, 1, 2))
        assert drawn.argmax() == channel
        distance = np.abs(drawn - style.mean(axis=(0, 1))).mean()
        assert distance < 0.75 * np.abs(contents.mean(axis=(0, 1, 2)) - style.mean(axis=(0, 1))).mean()


@pytest.mark.backends
@pytest.mark.parametrize("kept", [False, True])
def test_strength_0_is_the_content_itself(trained, kept):
    content, style = tiny_style.images(2, (13, 18)), tiny_style.stripes(1)[0]
    none = trained.stylize(content, style, strength=0.0, preserve_color=kept)
    np.testing.assert_array_equal(none, content)
    half, full = (trained.stylize(content, style, strength=x, preserve_color=kept) for x in (0.5, 1.0))
    np.testing.assert_allclose(half, (content.astype(float) + full) / 2, atol=1)
    error = [np.abs(each.astype(float) - content).mean() for each in (half, full)]
    assert 1 < error[0] < error[1]


def test_mixed_styles(trained):
    content, (red, blue) = tiny_style.images(1)[0], (tiny_style.stripes()[1], tiny_style.stripes()[0, :, :14])
    alone = [trained.stylize(content, style) for style in (red, blue)]
    np.testing.assert_array_equal(trained.stylize(content, [red, blue], weights=[3, 0]), alone[0])
    mixed = [trained.stylize(content, [red, blue], weights=w).mean(axis=(0, 1)) for w in (None, [1, 1], [9, 1])]
    np.testing.assert_array_equal(mixed[0], mixed[1])
    assert alone[0].mean(axis=(0, 1))[0] > mixed[2][0] > mixed[0][0] > alone[1].mean(axis=(0, 1))[0]


def test_preserved_colors(trained):
    content = np.tile(np.uint8([[[[150, 100, 125]]], [[[110, 120, 145]]]]), (1, 16, 16, 1))
    content[:, ::2] += 15
    drawn = trained.stylize(content, tiny_style.stripes(1)[0], preserve_color=True) / 255.0
    chroma = np.float32([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]).T
    inside = (drawn > 0).all(axis=-1) & (drawn < 1).all(axis=-1)
    assert inside.mean() > 0.2
    np.testing.assert_allclose((drawn @ chroma)[inside], (content / 255.0 @ chroma)[inside], atol=0.01)
    assert np.abs((drawn - content / 255.0) @ np.float32([0.299, 0.587, 0.114])).mean() > 0.01


def test_says_that_it_has_not_been_trained(trained, recwarn):
    with pytest.warns(UserWarning, match="StyleTransfer has not been trained: expect noise"):
        tiny_style.model().stylize(tiny_style.images(1), tiny_style.stripes(1))
    recwarn.clear()
    trained.stylize(tiny_style.images(1), tiny_style.stripes(1))
    assert not [each for each in recwarn if "trained" in str(each.message)]


@pytest.mark.backends
def test_the_range_of_one_call_is_not_that_of_the_next(trained):
    content, style = tiny_style.images(1)[0], tiny_style.stripes(1)[0]
    unit = [(each / 255.0).astype("float32") for each in (content, style)]
    before = trained.stylize(*unit)
    np.testing.assert_allclose(trained.stylize(scaled(content), scaled(style)).astype(int), before, atol=1)
    np.testing.assert_array_equal(trained.stylize(*unit), before)
    # Nor is the range of contents that of styles.
    np.testing.assert_allclose(trained.stylize(scaled(content), unit[1]).astype(int), before, atol=1)
