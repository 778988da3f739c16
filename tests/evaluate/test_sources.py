from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from kgen.evaluate.sources import source_of
from tests.metrics import measures
from tests.models import tiny, tiny_text


def options(generated, real="nowhere", **others):
    values = {"image_size": None, "num_images": 10, "prompts": None, "seed": 0, "batch_size": 4, **others}
    return SimpleNamespace(generated=str(generated), real=Path(real), **values)


def drawn(source, size=7):
    batches = list(source.batches(size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    images = np.concatenate(batches)
    assert len(images) == len(source) and images.dtype == np.uint8 and images.shape[1:] == source.image_shape
    return images


# === A folder ===
def test_a_folder(generated):
    source = source_of(options(generated))
    assert source.image_shape == (16, 16, 3) and source.prompts is None and len(source) == 10
    np.testing.assert_array_equal(drawn(source), measures.images(24)[1][:10])
    assert source.files[:2] == ["000.png", "001.png"]
    assert len(source_of(options(generated, num_images=500))) == 20


def test_the_size_of_a_folder(generated):
    Image.new("RGB", (40, 32)).save(generated / "000.png")
    assert source_of(options(generated)).image_shape == (32, 32, 3)
    assert drawn(source_of(options(generated, image_size=8))).shape == (10, 8, 8, 3)


def test_a_broken_image_is_not_left_out(generated):
    (generated / "003.png").write_bytes(b"")
    with pytest.raises(ValueError, match="unreadable .*003.png"):
        drawn(source_of(options(generated)))
    (generated / "000.png").write_bytes(b"")
    with pytest.raises(OSError, match="000.png"):
        source_of(options(generated))


def test_nothing_there(tmp_path):
    with pytest.raises(
        ValueError, match="nowhere' is not a folder of images, .keras file, SavedModel or preset of kgen"
    ):
        source_of(options(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="there is no file '.*nowhere.keras'"):
        source_of(options(tmp_path / "nowhere.keras"))
    with pytest.raises(ValueError, match="expected files ending in"):
        source_of(options(tmp_path))


# === A model ===
@pytest.mark.backends
def test_a_keras_file(tmp_path, vae):
    vae.compile()
    vae.save(tmp_path / "vae.keras")
    source = source_of(options(tmp_path / "vae.keras", seed=5))
    assert source.image_shape == tiny.SHAPE and source.files is None and source.prompts is None
    images = drawn(source)
    np.testing.assert_array_equal(images, vae.generate(10, seed=list(range(5, 15))))
    assert len(np.unique(images, axis=0)) == 10
    # Neither the size of batches nor the number of images says what an image is.
    np.testing.assert_array_equal(drawn(source_of(options(tmp_path / "vae.keras", seed=5, batch_size=3)), 2), images)
    more = drawn(source_of(options(tmp_path / "vae.keras", seed=5, num_images=12)))
    np.testing.assert_array_equal(more[:10], images)


def test_classes_in_turn(tmp_path):
    model = tiny.vae(num_classes=tiny.CLASSES)
    model.average.updates.assign(1.0)
    model.save_to_preset(tmp_path / "preset")
    images = drawn(source_of(options(tmp_path / "preset")), 4)
    np.testing.assert_array_equal(images, model.generate(labels=np.arange(10) % tiny.CLASSES, seed=list(range(10))))


def test_a_preset_of_kgen_in_a_directory_or_at_an_address(monkeypatch, vae, tmp_path):
    vae.save_to_preset(tmp_path / "own" / "faces")
    monkeypatch.setattr("kgen.presets.preset._OWN", tmp_path / "own")
    wanted = vae.generate(10, seed=range(10))
    for name in ("faces", tmp_path / "own" / "faces"):
        np.testing.assert_allclose(drawn(source_of(options(name))).astype(int), wanted, atol=1)
    monkeypatch.setattr("kgen.evaluate.sources.load_preset", {"hf://me/faces": vae}.get)
    np.testing.assert_array_equal(drawn(source_of(options("hf://me/faces"))), wanted)


def test_another_model(tmp_path, vae):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="other.keras' must contain a kgen GAN, VAE or TextToImage; got Sequential"):
        source_of(options(tmp_path / "other.keras"))
    vae.save(tmp_path / "vae.keras")
    with pytest.raises(ValueError, match="--image-size is only for folders; the model draws 8 pixels a side"):
        source_of(options(tmp_path / "vae.keras", image_size=16))
    assert source_of(options(tmp_path / "vae.keras", image_size=8)).image_shape == tiny.SHAPE


# === A model that draws from prompts ===
def test_prompts_of_a_file(tmp_path, text_model):
    text_model.save(tmp_path / "text.keras")
    (tmp_path / "prompts.txt").write_text("a red picture\n\n  a green picture \na blue picture\n", encoding="utf-8")
    source = source_of(options(tmp_path / "text.keras", prompts=tmp_path / "prompts.txt"))
    prompts = ["a red picture", "a green picture", "a blue picture"]
    assert source.prompts == [prompts[i % 3] for i in range(10)]
    np.testing.assert_array_equal(drawn(source), text_model.generate(source.prompts, seed=list(range(10))))
    (tmp_path / "prompts.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="there are no prompts in '.*prompts.txt'"):
        source_of(options(tmp_path / "text.keras", prompts=tmp_path / "prompts.txt"))


def test_captions_of_the_real_images(tmp_path, text_model, captioned, real):
    text_model.save(tmp_path / "text.keras")
    source = source_of(options(tmp_path / "text.keras", captioned))
    assert source.prompts == [f"a {[*tiny_text.COLORS][i % 4]} picture" for i in range(10)]
    with pytest.raises(ValueError, match="24 .* in .* but no captions"):
        source_of(options(tmp_path / "text.keras", real))
    with pytest.raises(ValueError, match="this model draws from prompts: give --prompts, or a folder of captioned"):
        source_of(options(tmp_path / "text.keras", tmp_path / "real.npz"))


# === A SavedModel ===
def test_a_saved_model(tmp_path, vae, tensorflow_backend):
    vae.export(tmp_path / "saved")
    source = source_of(options(tmp_path / "saved", seed=3))
    assert source.image_shape == tiny.SHAPE and source.prompts is None
    images = drawn(source, 8)
    assert abs(images.astype(int) - vae.generate(10, seed=range(3, 13))).max() <= 1
    assert len(np.unique(images, axis=0)) == 10


def test_a_saved_model_of_prompts(tmp_path, text_model, captioned, tensorflow_backend):
    text_model.export(tmp_path / "saved")
    source = source_of(options(tmp_path / "saved", captioned))
    assert source.image_shape == tiny_text.SHAPE
    images = drawn(source, 8)
    assert abs(images.astype(int) - text_model.generate(source.prompts, seed=range(10))).max() <= 1


def test_saved_models_that_say_too_little(tmp_path, tensorflow_backend):
    import tensorflow as tf

    model = tiny.vae(num_classes=tiny.CLASSES)
    model.average.updates.assign(1.0)
    model.export(tmp_path / "classes")
    with pytest.raises(ValueError, match="classes' does not say how many classes it has; give the model's .keras file"):
        source_of(options(tmp_path / "classes"))
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(ValueError, match="other' is not a SavedModel of kgen"):
        source_of(options(tmp_path / "other"))
