import tracemalloc

import numpy as np
import pytest
from keras import ops

from kgen.layers import Blur, Downscale, GaussianNoise, RandomMask
from kgen.models import ImageRestorer
from tests.models.test_image_restorer import CLEAN, PHOTO, denoiser, moved, network


@pytest.fixture(scope="module")
def trained():
    return moved(denoiser())


@pytest.mark.backends
@pytest.mark.parametrize("scale", [1, 2])
def test_tiles_give_what_the_whole_gives(scale):
    model = moved(ImageRestorer(Blur(1), scale, network=network(scale), seed=0))
    assert [type(layer) for layer in model.degradations] == [Downscale, Blur][2 - scale :]
    whole = model.restore(PHOTO).astype(int)
    assert whole.shape == (45 * scale, 70 * scale, 3)
    assert np.abs(whole - np.kron(PHOTO, np.ones((scale, scale, 1)))).max() > 20
    tiled = model.restore(PHOTO, tile=48, overlap=24, verbose=0).astype(int)
    # Tiles repeat the border as far as whole multiples of 8, which reaches a few pixels into the image.
    inside = slice(0, 32 * scale), slice(0, 56 * scale)
    assert np.abs(tiled - whole)[inside].max() <= 1


@pytest.mark.backends
def test_one_image_a_batch_and_a_list(trained):
    batch = trained.restore(CLEAN[:3])
    assert batch.shape == (3, 16, 16, 3) and batch.dtype == "uint8"
    np.testing.assert_allclose(trained.restore(CLEAN[1]).astype(int), batch[1], atol=1)
    images = [CLEAN[0], PHOTO, PHOTO[:9, :21]]
    found = trained.restore(images)
    assert [one.shape for one in found] == [one.shape for one in images]
    np.testing.assert_allclose(found[0].astype(int), batch[0], atol=1)
    np.testing.assert_allclose(trained.restore(CLEAN[:3] / 255.0).astype(int), batch, atol=1)


def test_the_result_is_written_where_one_says(trained, tmp_path):
    alpha = np.full((*PHOTO.shape[:2], 1), 7, "uint8")
    in_tiles = {"tile": 48, "overlap": 24, "verbose": 0}
    for images in CLEAN[:3], PHOTO, PHOTO[..., 0], np.concatenate([PHOTO, alpha], axis=-1), np.stack([PHOTO, PHOTO]):
        for options in {}, in_tiles:
            out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", images.dtype, images.shape)
            assert trained.restore(images, out=out, **options) is out
            out.flush()
            np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), trained.restore(images, **options))
    larger = moved(ImageRestorer(RandomMask(0.4, (1, 3)), network=network(masked=True), seed=0))
    out, mask = np.empty_like(PHOTO), np.eye(*PHOTO.shape[:2])
    np.testing.assert_array_equal(larger.restore(PHOTO, mask, out=out), larger.restore(PHOTO, mask))
    assert out.any()


def test_where_a_result_cannot_be_written(trained):
    for out in np.empty((45, 70, 3)), np.empty((45, 71, 3), "uint8"), [0]:
        with pytest.raises(ValueError, match=r"out must be a NumPy array, uint8 \(45, 70, 3\), for these images; got"):
            trained.restore(PHOTO, out=out)
    with pytest.raises(TypeError, match="out is only for a single array of images; got 1 images in a list"):
        trained.restore([PHOTO], out=np.empty_like(PHOTO))


def test_memory_does_not_grow_with_the_height(trained, tmp_path):
    peaks = []
    for height in 512, 2048:
        images = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", "uint8", (height, 64, 3))
        out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "uint8", (height, 64, 3))
        trained.restore(images[:96], tile=64, overlap=16, out=out[:96], verbose=0)
        tracemalloc.start()
        trained.restore(images, tile=64, overlap=16, out=out, verbose=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], peaks


@pytest.mark.backends
def test_alpha_is_kept(trained):
    alpha = np.random.default_rng(0).integers(0, 256, (*PHOTO.shape[:2], 1)).astype("uint8")
    restored = trained.restore(np.concatenate([PHOTO, alpha], axis=-1))
    np.testing.assert_array_equal(restored[..., 3:], alpha)
    np.testing.assert_array_equal(restored[..., :3], trained.restore(PHOTO))
    larger = ImageRestorer([], 2, network=network(2), seed=0)
    even = np.full((*PHOTO.shape[:2], 1), 0.4)
    with pytest.warns(UserWarning, match="ImageRestorer has not been trained"):
        restored = larger.restore(np.concatenate([PHOTO / 255.0, even], axis=-1))
    assert restored.shape == (90, 140, 4)
    np.testing.assert_array_equal(restored[..., 3], 102)
    # In the range of the colours.
    signed = np.concatenate([PHOTO, alpha], axis=-1).astype("float32") / 127.5 - 1.0
    for value_range in (None, (-1, 1)):
        np.testing.assert_array_equal(trained.restore(signed, value_range=value_range)[..., 3:], alpha)


@pytest.mark.backends
def test_with_masks_known_pixels_stay_as_they_are():
    model = moved(ImageRestorer(RandomMask(0.4, (1, 3)), network=network(masked=True), seed=0))
    mask = np.random.default_rng(4).uniform(size=PHOTO.shape[:2]) < 0.3
    restored = model.restore(PHOTO, mask)
    np.testing.assert_array_equal(restored[~mask], PHOTO[~mask])
    # What was there before is not seen.
    other = np.where(mask[..., None], 255 - PHOTO, PHOTO)
    np.testing.assert_array_equal(model.restore(other, mask), restored)
    assert np.abs(restored[mask].astype(int) - 128).max() > 5
    tiled = model.restore([PHOTO], [255 * mask.astype("uint8")], tile=40, overlap=16, verbose=0)[0]
    np.testing.assert_array_equal(tiled[~mask], PHOTO[~mask])
    batch = model.restore(PHOTO[None], mask[None, ..., None])
    np.testing.assert_array_equal(batch[0], restored)
    model.compile()
    before = model.evaluate(CLEAN, verbose=0, return_dict=True)
    assert model.fit(CLEAN, epochs=20, batch_size=8, verbose=0).history["psnr"][-1] > before["psnr"] + 1


def test_noise_and_a_mask_leave_nothing_as_it_is():
    model = moved(ImageRestorer([GaussianNoise(20), RandomMask(0.4)], network=network(masked=True), seed=0))
    mask = np.zeros(PHOTO.shape[:2], bool)
    assert np.abs(model.restore(PHOTO, mask).astype(int) - PHOTO).max() > 5


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
def test_export(masked, tmp_path, tensorflow_backend):
    import tensorflow as tf

    layer, scale = (RandomMask(0.4), 1) if masked else (Downscale(2), 2)
    model = moved(ImageRestorer(layer, scale, network=network(scale, masked), seed=0))
    model.export(tmp_path / "saved_model")
    mask = (np.random.default_rng(4).uniform(size=PHOTO.shape[:2]) < 0.3).astype("uint8")
    mask[5:40, 20:60] = 1
    arguments = [mask] if masked else []
    serve = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    for part in (slice(None), slice(0, 17)):
        inputs = {"images": tf.constant(PHOTO[None, part])}
        inputs |= {"masks": tf.constant(mask[None, part])} if masked else {}
        wanted = model.restore(PHOTO[part], *(each[part] for each in arguments))
        assert np.abs(serve(**inputs)["images"][0].numpy().astype(int) - wanted).max() <= 1


@pytest.mark.backends
def test_grey_images_stay_grey_whatever_their_form():
    model, grey = moved(denoiser()), PHOTO[..., 0]
    same = np.repeat(grey[..., None], 3, axis=-1)
    restored = model.restore(same)
    # Colours are what this network adds to a grey image.
    assert np.ptp(ops.convert_to_numpy(model(same[None, :40, :64] / np.float32(255))), axis=-1).max() > 0.05
    assert np.ptp(restored, axis=-1).max() == 0 and np.abs(restored.astype(int) - same).max() > 5
    np.testing.assert_array_equal(model.restore(grey), restored[..., 0])
    np.testing.assert_array_equal(model.restore(grey[..., None] / 255.0), restored[..., :1])
    np.testing.assert_array_equal(model.restore([grey])[0], restored[..., 0])
    np.testing.assert_array_equal(model.restore(grey, tile=32, overlap=16, verbose=0).shape, grey.shape)
    with_alpha = model.restore(np.stack([grey, 255 - grey], axis=-1))
    np.testing.assert_array_equal(with_alpha, np.stack([restored[..., 0], 255 - grey], axis=-1))
    # In a batch each image by itself.
    both = model.restore(np.stack([same, PHOTO]))
    np.testing.assert_allclose(both[0].astype(int), restored, atol=1)
    np.testing.assert_allclose(both[1].astype(int), model.restore(PHOTO), atol=1)
    assert np.ptp(both[1], axis=-1).max() > 20


@pytest.mark.backends
def test_grey_images_stay_grey_larger_or_with_holes():
    grey = PHOTO[..., 0]
    larger = moved(ImageRestorer(Downscale(2), 2, network=network(2), seed=0)).restore(grey)
    assert larger.shape == (90, 140) and larger.dtype == "uint8"
    model = moved(ImageRestorer(RandomMask(0.4), network=network(masked=True), seed=0))
    mask = np.random.default_rng(4).uniform(size=grey.shape) < 0.3
    # What is hidden may have a colour.
    marked = np.where(mask[..., None], [255, 0, 0], grey[..., None]).astype("uint8")
    filled = model.restore(marked, mask)
    assert np.ptp(filled, axis=-1).max() == 0
    np.testing.assert_array_equal(model.restore(grey, mask), filled[..., 0])
    np.testing.assert_array_equal(filled[~mask][:, 0], grey[~mask])


def test_a_hole_wider_than_the_network_sees_is_filled_from_its_border():
    model = ImageRestorer(RandomMask(0.4, (1, 8)), network=network(masked=True), seed=0)
    model.average.updates.assign(1.0)
    ramp = np.linspace(40, 220, 160)[:, None, None] * np.array([1.0, 0.8, 0.5])
    image = np.broadcast_to(ramp, (160, 144, 3)).round().astype("uint8")
    mask = np.zeros(image.shape[:2], bool)
    mask[30:130, 20:120] = True
    # The first guess alone, at one scale, is a grey square.
    filled = model.restore(np.where(mask[..., None], 0, image).astype("uint8"), mask)
    assert np.abs(filled.astype(int) - image).max() < 30 and np.abs(filled.astype(int) - image).mean() < 4
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    # Wider than a tile, and with one image in the batch that has no hole.
    tiled = model.restore(np.stack([image, image]), np.stack([mask, 0 * mask]), tile=64, overlap=32, verbose=0)
    assert np.abs(tiled[0].astype(int) - image).max() < 30
    np.testing.assert_array_equal(tiled[1], image)
    # Twice as large.
    model = ImageRestorer([Downscale(2), RandomMask(0.4, 1)], 2, network=network(2, masked=True), seed=0)
    model.average.updates.assign(1.0)
    larger = model.restore(image, mask)
    assert np.abs(larger[::2, ::2].astype(int) - image).max() < 30
    # Nothing is known: any colour, but an answer.
    assert model.restore(image[:24, :24], np.ones((24, 24))).shape == (48, 48, 3)


def test_grey_images_of_a_model_for_them():
    model = moved(ImageRestorer(GaussianNoise(20), channels=1, network=network(channels=1), seed=0))
    assert model.restore(PHOTO[..., :1]).shape == (45, 70, 1)
    assert model.restore(PHOTO[..., :2]).shape == (45, 70, 2)  # with alpha


def test_what_cannot_be_restored(trained):
    for images, error, said in (
        (PHOTO[0, 0], TypeError, r"array \(H, W\), \(H, W, channels\) .* got shape \(3,\)"),
        ("photo.png", TypeError, "got str"),
        (np.concatenate([PHOTO, PHOTO], -1), ValueError, "3 channels, or one more for alpha; got 6"),
        (PHOTO * 2.0, ValueError, "images must be uint8, or float in"),
        (PHOTO.astype("int32"), TypeError, "images must be uint8, or float"),
    ):
        with pytest.raises(error, match=said):
            trained.restore(images)
    with pytest.raises(ValueError, match="this model has no RandomMask; leave out masks"):
        trained.restore(PHOTO, np.zeros(PHOTO.shape[:2]))
    with pytest.raises(ValueError, match="tile must be a multiple of 8 pixels; got 100"):
        trained.restore(PHOTO, tile=100)
    inpainter = moved(ImageRestorer(RandomMask(0.4), network=network(masked=True), seed=0))
    with pytest.raises(ValueError, match="this model needs masks of the missing areas"):
        inpainter.restore(PHOTO)
    with pytest.raises(ValueError, match=r"masks must have shape \(1, 45, 70\) for these images; got \(1, 45, 69\)"):
        inpainter.restore(PHOTO, np.zeros((45, 69)))
    with pytest.raises(ValueError, match="2 images need the same number of masks; got 1"):
        inpainter.restore([PHOTO, PHOTO], [np.zeros((45, 70))])


@pytest.mark.backends
def test_the_range_of_one_call_is_not_that_of_the_next(trained):
    unit, signed = (PHOTO / 255.0).astype("float32"), (PHOTO / 127.5 - 1.0).astype("float32")
    before = trained.restore(unit)
    np.testing.assert_allclose(trained.restore(signed).astype(int), before, atol=1)
    np.testing.assert_array_equal(trained.restore(unit), before)
    np.testing.assert_array_equal(trained.restore(PHOTO), trained.restore(PHOTO))
