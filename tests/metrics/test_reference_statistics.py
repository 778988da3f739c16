import json
import os
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from kgen import progress
from kgen.data import ImageFolder
from kgen.metrics import (
    DensityCoverage,
    FeatureExtractor,
    FrechetDistance,
    KernelDistance,
    PrecisionRecall,
    ReferenceStatistics,
    reference_statistics,
    update_all,
)
from tests.metrics import measures

MODULE = sys.modules["kgen.metrics.reference_statistics"]


class Counting(FeatureExtractor):
    """Knows how many images it has looked at."""

    seen = 0

    def extract(self, images, *args, **kwargs):
        self.seen += len(images)
        return super().extract(images, *args, **kwargs)


def extractor(seed=0, **options):
    return Counting(measures.small_network(seed=seed), **options)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("KGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reference"


@pytest.fixture
def real():
    return measures.images(36)[0]


@pytest.fixture
def folder(tmp_path, real):
    """The images as files, twice as large."""
    for i, image in enumerate(real):
        path = tmp_path / "images" / f"{i:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).resize((32, 32), Image.Resampling.NEAREST).save(path)
    return tmp_path / "images"


# === What they are ===
@pytest.mark.backends
def test_of_an_array(real):
    features = extractor().extract(real)
    reference = reference_statistics(real, extractor(), max_samples=50, batch_size=5)
    assert reference.moments.count == 36
    np.testing.assert_allclose(reference.moments.mean, features.astype("float64").mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(reference.moments.covariance, np.cov(features.astype("float64").T), rtol=1e-4)
    assert reference.sample.dtype == np.float32 and reference.sample.shape == features.shape
    order = [np.argsort(each[:, 0]) for each in (features, reference.sample)]
    np.testing.assert_allclose(reference.sample[order[1]], features[order[0]], rtol=1e-4)


def test_merged_in_parts(real, monkeypatch):
    at_once = reference_statistics(real, extractor(), max_samples=9_998)
    monkeypatch.setattr(MODULE, "_CHUNK", 10)
    other = reference_statistics(real, extractor(), max_samples=9_999, batch_size=4)
    np.testing.assert_allclose(other.moments.covariance, at_once.moments.covariance, rtol=1e-5)
    np.testing.assert_allclose(other.sample, at_once.sample, rtol=1e-4)
    assert other.moments.count == 36


def test_of_a_folder(folder):
    reference = reference_statistics(folder, extractor(), image_size=16)
    read = np.concatenate(list(ImageFolder(folder, 16).batches(36)))
    expected = reference_statistics(read, extractor())
    np.testing.assert_allclose(reference.moments.mean, expected.moments.mean, rtol=1e-6)
    np.testing.assert_allclose(reference.sample, expected.sample, rtol=1e-4)
    assert reference.key["image_shape"] == [16, 16, 3] and reference.key["resize"] == "lanczos, crop, on white"
    grey = reference_statistics(ImageFolder(folder, 8, channels=1, resize="pad"), extractor())
    assert grey.key["image_shape"] == [8, 8, 1] and grey.key["resize"] == "lanczos, pad, on white"


def test_a_sample_of_more_than_are_kept(real):
    reference = reference_statistics(real, extractor(), max_samples=10)
    assert reference.sample.shape == (10, 6) and reference.moments.count == 36


# === Read again ===
def test_the_second_time_a_file_is_read(folder, cache):
    first, second = extractor(), extractor()
    computed = reference_statistics(folder, first, image_size=16)
    (file,) = cache.iterdir()
    assert file.name.startswith("small-") and file.suffix == ".npz"
    read = reference_statistics(folder, second, image_size=16)
    assert first.seen == 36 and second.seen == 0
    assert read.key == computed.key
    for name, value in computed.moments._asdict().items():
        np.testing.assert_array_equal(getattr(read.moments, name), value)
    np.testing.assert_array_equal(read.sample, computed.sample)


def test_a_file_of_ones_own(real, tmp_path, cache):
    file = tmp_path / "new" / "folder" / "real.npz"
    first, second = extractor(), extractor()
    computed = reference_statistics(real, first, file=file)
    assert file.is_file() and not cache.exists()
    read = reference_statistics(real, second, file=str(file))
    assert second.seen == 0 and read.moments.count == 36
    np.testing.assert_array_equal(ReferenceStatistics.load(file).moments.covariance, computed.moments.covariance)


def test_another_key_is_another_file_of_the_cache(real, cache):
    for arguments in (
        (real, extractor()),
        (real[:30], extractor()),
        (real, extractor(seed=1)),
        (real, extractor(image_size=8)),
        (real, extractor(image_size=8, interpolation="bilinear")),
        (real, extractor(value_range=(0, 1))),
    ):
        reference_statistics(*arguments)
    reference_statistics(real, extractor(), max_samples=20)
    assert len(list(cache.iterdir())) == 7


def test_an_image_that_changed_is_other_data(folder, cache):
    reference_statistics(folder, extractor(), image_size=16)
    Image.new("RGB", (32, 32)).save(folder / "003.png")
    again = extractor()
    reference_statistics(folder, again, image_size=16)
    assert again.seen == 36 and len(list(cache.iterdir())) == 2


def test_a_mismatch_is_refused_and_named(folder, tmp_path):
    file = tmp_path / "real.npz"
    plain = ImageFolder(folder, 16)
    reference_statistics(plain, extractor(), file=file)
    before = file.read_bytes()

    def refused(words, images=plain, features=None, **options):
        with pytest.raises(ValueError, match=f"reference_statistics: '{file}' holds other statistics: {words}"):
            reference_statistics(images, features or extractor(), file=file, **options)

    refused("data is '.*', expected '[0-9a-f]+'. Remove it", ImageFolder(folder, 16, limit=30))
    refused(r"image_shape is \[16, 16, 3\], expected \[8, 8, 3\]\.", folder, image_size=8)
    refused(
        "resize is 'lanczos, crop, on white', expected 'lanczos, pad, on white'",
        ImageFolder(folder, 16, resize="pad"),
    )
    refused("resize is 'lanczos, crop, on white', expected '.*black'", ImageFolder(folder, 16, background="black"))
    refused("extractor weights is '.*', expected '[0-9a-f]+'. Remove", features=extractor(seed=1))
    refused("extractor name is 'small', expected 'other'. Remove", features=extractor(name="other"))
    refused(r"extractor image_size is None, expected \[8, 8\]. Remove", features=extractor(image_size=8))
    refused("max_samples is 10000, expected 20. Remove", max_samples=20)
    assert file.read_bytes() == before


def test_bytes_that_are_no_reference(real, tmp_path):
    file = tmp_path / "real.npz"
    reference_statistics(real, extractor(), file=file)
    whole = file.read_bytes()
    middle = len(whole) // 2

    def refused(content=None, **arrays):
        if content is None:
            np.savez(file, **arrays)
        else:
            file.write_bytes(content)
        with pytest.raises(ValueError, match=f"'{file}' is not a file of reference statistics.*Remove it"):
            reference_statistics(real, extractor(), file=file)
        with pytest.raises(ValueError, match="ReferenceStatistics: "):
            ReferenceStatistics.load(file)

    refused(b"")
    refused(b"no file of numpy")
    refused(whole[: len(whole) // 2])
    refused(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    refused(mean=np.zeros(3))
    refused(key=json.dumps(["format"]))
    with np.load(tmp_path / "again.npz" if file.write_bytes(whole) is None else file) as stored:
        other = {**stored, "key": json.dumps({**json.loads(str(stored["key"])), "format": 99})}
    refused(**other)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        ReferenceStatistics.load(tmp_path / "nowhere.npz")


def test_half_a_file_is_never_seen(real, tmp_path, monkeypatch):
    file = tmp_path / "real.npz"
    reference = reference_statistics(real, extractor(), file=file)
    before = file.read_bytes()

    def disk_full(stream, **arrays):
        stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="No space left"):
        reference.save(file)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["real.npz"]


# === In the place of real images ===
def numbers(metrics):
    return {name: value for metric in metrics for name, value in metric.results().items()}


def with_both_ways(make, real, generated, reference):
    with_real = [make(None), make(reference)]
    for start in range(0, 36, 10):
        part = slice(start, start + 10)
        with_real[0].update_state(real[part], generated[part])
        with_real[1].update_state(None, generated[part])
    return numbers(with_real[:1]), numbers(with_real[1:])


@pytest.mark.backends
@pytest.mark.parametrize("kind", [FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage])
def test_a_metric_with_a_reference(kind):
    real, generated = measures.images(36)
    reference = reference_statistics(real, extractor())
    options = {"subsets": 3, "subset_size": 12} if kind is KernelDistance else {}
    with_real, with_reference = with_both_ways(
        lambda reference: kind(extractor(), reference=reference, **options), real, generated, reference
    )
    assert list(with_real) == list(with_reference) and np.isfinite(list(with_real.values())).all()
    for name, value in with_real.items():
        np.testing.assert_allclose(with_reference[name], value, rtol=1e-4, atol=1e-7, err_msg=name)


def test_the_reference_has_the_real_images(real):
    metric = FrechetDistance(extractor(), reference=reference_statistics(real, extractor()))
    assert not metric.needs_real
    with pytest.raises(ValueError, match="FrechetDistance: the reference already describes the real images. Pass None"):
        metric.update_state(real, real)
    with pytest.raises(ValueError, match="cannot be saved"):
        metric.get_config()


def test_another_extractor_is_refused(real):
    reference = reference_statistics(real, extractor())
    FrechetDistance(extractor(), reference=reference)
    with pytest.raises(ValueError, match="PrecisionRecall: the features of the reference are not .*weights is '"):
        PrecisionRecall(extractor(seed=1), reference=reference)
    with pytest.raises(ValueError, match=r"FrechetDistance: .*value_range is \[-1.0, 1.0\], expected \[0.0, 1.0\]"):
        FrechetDistance(extractor(value_range=(0, 1)), reference=reference)
    with pytest.raises(ValueError, match="FrechetDistance: .*name is 'small', expected 'pixels'"):
        FrechetDistance("pixels", reference=reference)
    with pytest.raises(ValueError, match="FrechetDistance: .*Pass its feature_extractor too"):
        FrechetDistance(reference=reference)


def test_images_of_another_size_are_refused(real):
    reference = reference_statistics(real, extractor())
    small = np.zeros((4, 8, 8, 3), "uint8")
    words = r"the reference has images of shape \(16, 16, 3\); got \(8, 8, 3\)"
    metric = FrechetDistance(extractor(), reference=reference)
    with pytest.raises(ValueError, match=f"FrechetDistance: {words}"):
        metric.update_state(None, small)
    with pytest.raises(ValueError, match=f"FrechetDistance: {words}"):
        metric.build_for((8, 8, 3))
    # Also where another metric has computed the features of the same images.
    network = extractor()
    with pytest.raises(ValueError, match=f"FrechetDistance: {words}"):
        update_all([FrechetDistance(network), FrechetDistance(network, reference=reference)], small, small)
    metric.build_for((16, 16, 3))
    with pytest.raises(TypeError, match="FrechetDistance: generated images must be an array"):
        metric.update_state(None, [[1.0]])


# === At the door ===
@pytest.mark.parametrize(
    "images, options, error, words",
    [
        (np.zeros((4, 8, 8, 3), "float32"), {}, TypeError, r"must be a uint8 array .*; got float32 of shape \(4, 8"),
        (np.zeros((8, 8, 3), "uint8"), {}, TypeError, r"got uint8 of shape \(8, 8, 3\)"),
        ([1, 2], {}, TypeError, "got list"),
        (np.zeros((0, 8, 8, 3), "uint8"), {}, ValueError, "must not be empty"),
        (np.zeros((4, 8, 8, 2), "uint8"), {}, ValueError, "1 or 3"),
        (
            np.zeros((4, 8, 8, 3), "uint8"),
            {"image_size": 8},
            ValueError,
            "image_size, .*, if images is the path of a folder",
        ),
        ("images", {}, ValueError, "image_size, .*, if images is the path of a folder"),
        (np.zeros((4, 8, 8, 3), "uint8"), {"max_samples": 0}, ValueError, "max_samples must be an integer"),
        (
            np.zeros((4, 8, 8, 3), "uint8"),
            {"batch_size": 0},
            ValueError,
            "batch_size must be an integer of at least 1",
        ),
    ],
)
def test_bad_arguments(images, options, error, words):
    with pytest.raises(error, match=f"reference_statistics: .*{words}"):
        reference_statistics(images, extractor(), **options)


def test_features_must_be_named(real):
    with pytest.raises(ValueError, match="reference_statistics: pass a feature_extractor"):
        reference_statistics(real, None)


def test_an_unreadable_image_is_left_out(folder):
    (folder / "000.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped 1 unreadable images of 36"):
        reference = reference_statistics(folder, extractor(), image_size=16)
    assert reference.moments.count == 35
    with pytest.raises(ValueError, match="path must be a folder"):
        reference_statistics(folder / "nowhere", extractor(), image_size=16)


def test_progress(capsys, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3)).astype("uint8")
    monkeypatch.setattr(progress, "_PATIENCE", 1e9)
    reference_statistics(images, extractor())
    assert capsys.readouterr().out == ""
    reference_statistics(images[1:], extractor(), verbose=1)
    assert "39/39" in capsys.readouterr().out
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    reference_statistics(images[2:], extractor(), batch_size=10)
    assert "38/38" in capsys.readouterr().out
    reference_statistics(images[3:], extractor(), verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.backends
def test_tensors_are_the_same_images(real):
    first = extractor()
    reference_statistics(real, first)
    again = extractor()
    reference_statistics(keras.ops.convert_to_tensor(real), again)
    assert first.seen == 36 and again.seen == 0


def test_a_file_that_cannot_be_written_is_said_before_the_work(real, tmp_path):
    (tmp_path / "file").write_text("x")
    counting = extractor()
    with pytest.raises(OSError, match="^reference_statistics: '.*' cannot be written"):
        reference_statistics(real, counting, file=tmp_path / "file" / "real.npz")
    assert counting.seen == 0


def test_a_cache_that_cannot_be_written_is_left_out(real, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")
    with pytest.warns(UserWarning, match="cannot be written .* computed again each time"):
        reference = reference_statistics(real, extractor())
    assert reference.moments.count == len(real)
