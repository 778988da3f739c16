import builtins

import keras
import numpy as np
import pytest
from PIL import Image

from kgen.callbacks import SampleGrid
from kgen.models import TextToImage
from kgen.text import encoder_from_captions
from kgen.visualization.image_grid import images_of_grid
from tests.models import tiny


def epochs_in(directory):
    return sorted(path.name for path in directory.iterdir())


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def rehearse(callback, model, epochs, before=0):
    """Calls a callback as `fit` does, with epochs in which nothing is trained."""
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(before, epochs):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch)
    callback.on_train_end()


@pytest.fixture(scope="module")
def vae():
    """A VAE that counts as trained."""
    model = tiny.vae()
    model.average.updates.assign(1.0)
    return model


@pytest.fixture(scope="module")
def conditional():
    model = tiny.vae(num_classes=tiny.CLASSES)
    model.average.updates.assign(1.0)
    return model


@pytest.fixture(scope="module")
def text_model():
    encoder = encoder_from_captions(["a red square", "a blue circle"], width=8, num_layers=1, num_heads=1)
    model = TextToImage(encoder, tiny.SHAPE, **tiny.networks_for_text(encoder.pooled_dim))
    model.average.updates.assign(1.0)
    return model


# === What is written ===
@pytest.mark.backends
def test_while_a_model_trains(tmp_path):
    vae = tiny.vae()
    vae.compile(keras.optimizers.SGD(1e-3))
    grid = SampleGrid(tmp_path, every=2, num_images=4)
    vae.fit(tiny.pictures(), batch_size=8, epochs=5, verbose=0, callbacks=[grid])
    assert epochs_in(tmp_path) == ["contact_sheet.png", "epoch_0002.png", "epoch_0004.png", "epoch_0005.png"]
    # Images of 8 pixels are shown 8 times as large; the last ones are those of the model as it is now.
    shown = images_of_grid(pixels(tmp_path / "epoch_0005.png"), 4, 2, tiny.SHAPE, scale=8)
    np.testing.assert_array_equal(shown, vae.generate(4, seed=0))
    assert not np.array_equal(pixels(tmp_path / "epoch_0002.png"), pixels(tmp_path / "epoch_0005.png"))


def test_the_latents_stay_the_same(tmp_path, vae):
    rehearse(SampleGrid(tmp_path / "one", num_images=4), vae, 2)
    rehearse(SampleGrid(tmp_path / "other", num_images=4, seed=1), vae, 1)
    first, second, other = (
        pixels(tmp_path / path) for path in ("one/epoch_0001.png", "one/epoch_0002.png", "other/epoch_0001.png")
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_the_contact_sheet_has_a_row_an_epoch(tmp_path, vae):
    rehearse(SampleGrid(tmp_path, num_images=3), vae, 2)
    sheet = pixels(tmp_path / "contact_sheet.png")
    rows = images_of_grid(sheet, 6, 3, tiny.SHAPE, scale=8)
    np.testing.assert_array_equal(rows, np.tile(vae.generate(3, seed=0), (2, 1, 1, 1)))


def test_the_contact_sheet_of_many_epochs_chooses_twelve(tmp_path, vae):
    rehearse(SampleGrid(tmp_path, num_images=20), vae, 30)
    rehearse(SampleGrid(tmp_path / "twelve", num_images=20), vae, 12)
    height, width, _ = pixels(tmp_path / "contact_sheet.png").shape
    assert (height, width) == pixels(tmp_path / "twelve" / "contact_sheet.png").shape[:2]
    assert width == 2 + 16 * (64 + 2)  # of 20 images 16


def test_labels_are_in_rows(tmp_path, conditional):
    rehearse(SampleGrid(tmp_path, num_images=7), conditional, 1)
    shown = images_of_grid(pixels(tmp_path / "epoch_0001.png"), 6, 2, tiny.SHAPE, scale=8)
    np.testing.assert_array_equal(shown, conditional.generate(labels=[0, 0, 1, 1, 2, 2], seed=0))


def test_more_labels_than_images(tmp_path, conditional):
    rehearse(SampleGrid(tmp_path, num_images=2), conditional, 1)
    shown = images_of_grid(pixels(tmp_path / "epoch_0001.png"), 2, 1, tiny.SHAPE, scale=8)
    np.testing.assert_array_equal(shown, conditional.generate(labels=[0, 1], seed=0))


def test_columns(tmp_path, vae):
    rehearse(SampleGrid(tmp_path, num_images=4, columns=4), vae, 1)
    assert pixels(tmp_path / "epoch_0001.png").shape == (2 + 66, 2 + 4 * 66, 3)


def test_prompts_are_captions(tmp_path, text_model):
    prompts = ["a red square", "一个蓝色的圆圈"]
    rehearse(SampleGrid(tmp_path, prompts), text_model, 1)
    shown = pixels(tmp_path / "epoch_0001.png")
    np.testing.assert_array_equal(
        images_of_grid(shown, 2, 2, tiny.SHAPE, scale=16), text_model.generate(prompts, seed=0)
    )
    below = shown[2 + 128 :, 2 : 2 + 128]
    assert (below < 250).any()


# === A run that goes on ===
def test_a_resumed_run_keeps_what_was_there(tmp_path, vae):
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 2)
    first = (tmp_path / "epoch_0001.png").read_bytes()
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 4, before=2)
    assert (tmp_path / "epoch_0001.png").read_bytes() == first
    sheet = pixels(tmp_path / "contact_sheet.png")
    assert len(images_of_grid(sheet, 8, 2, tiny.SHAPE, scale=8)) == 8
    assert len(sheet) > 4 * 64


def rows(directory):
    """Rows of a contact sheet: each has 64 pixels, a line of text, a margin."""
    return round((len(pixels(directory / "contact_sheet.png")) - 2) / (64 + 15 + 2))


def test_files_of_other_runs_are_not_mixed_in(tmp_path, vae):
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 3)
    assert rows(tmp_path) == 3
    # A new run has its own first epoch; what an older one left for later epochs is not its past.
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 1)
    assert rows(tmp_path) == 1
    # Other samples, or files that are no such grids, are not the same images at another time.
    (tmp_path / "epoch_0002.png").write_bytes(b"no image")
    Image.new("RGB", (9, 9)).save(tmp_path / "epoch_0003.png")
    rehearse(SampleGrid(tmp_path, num_images=2, seed=1), vae, 4, before=3)
    assert rows(tmp_path) == 1


def test_a_run_that_had_ended_changes_nothing(tmp_path, vae):
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 1, before=1)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_half_a_file_is_never_seen(tmp_path, vae, monkeypatch):
    rehearse(SampleGrid(tmp_path, num_images=2), vae, 1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def disk_full(self, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        rehearse(SampleGrid(tmp_path, num_images=2), vae, 1)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


# === TensorBoard ===
def test_tensorboard(tmp_path, vae):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    rehearse(SampleGrid(tmp_path / "samples", num_images=2, every=2, tensorboard=tmp_path / "logs"), vae, 4)
    (log,) = (tmp_path / "logs").iterdir()
    images = [(event.step, value) for event in EventFileLoader(str(log)).Load() for value in event.summary.value]
    assert [(step, value.tag) for step, value in images] == [(2, "samples"), (4, "samples")]
    width, height = images[0][1].tensor.string_val[:2]
    assert (int(width), int(height)) == (2 + 2 * 66, 2 + 66)


def test_tensorboard_is_missing(tmp_path, monkeypatch):
    really_import = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tensorboard":
            raise ImportError(name)
        return really_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'SampleGrid: .* pip install "keras-kgen\[tensorboard\]"'):
        SampleGrid(tmp_path, tensorboard=tmp_path / "logs")


# === Errors, before anything is trained ===
def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileExistsError, match="SampleGrid: cannot write to the directory .*file"):
        SampleGrid(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="SampleGrid: cannot write to the directory"):
        SampleGrid(tmp_path / "file" / "samples")


def test_a_directory_that_is_read_only(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="SampleGrid: the directory .* cannot be written to"):
        SampleGrid(tmp_path)


@pytest.mark.parametrize("name, wrong", [("every", 0), ("every", 1.5), ("num_images", 0), ("columns", 0)])
def test_numbers_out_of_range(tmp_path, name, wrong):
    with pytest.raises(ValueError, match=f"SampleGrid: {name} must be an integer of at least 1; got {wrong}"):
        SampleGrid(tmp_path, **{name: wrong})


def test_a_seed_is_needed(tmp_path):
    with pytest.raises(ValueError, match="SampleGrid: seed must be an integer from .*; got None"):
        SampleGrid(tmp_path, seed=None)


@pytest.mark.parametrize("prompts, error", [([], ValueError), ([""], ValueError), ([3], TypeError)])
def test_wrong_prompts(tmp_path, prompts, error):
    with pytest.raises(error, match="SampleGrid: "):
        SampleGrid(tmp_path, prompts)


def test_prompts_go_with_a_model_of_text(tmp_path, vae, text_model):
    with pytest.raises(ValueError, match="SampleGrid: VAE takes no prompts; leave them out"):
        rehearse(SampleGrid(tmp_path, ["a cat"]), vae, 1)
    with pytest.raises(ValueError, match=r"SampleGrid: TextToImage draws from prompts; give .*prompts=\[\.\.\.\]"):
        rehearse(SampleGrid(tmp_path), text_model, 1)


def test_a_model_that_draws_nothing(tmp_path):
    with pytest.raises(TypeError, match="SampleGrid: the model must be a kgen GAN, VAE or TextToImage; got Sequential"):
        rehearse(SampleGrid(tmp_path), keras.Sequential(), 1)
    assert epochs_in(tmp_path) == []
