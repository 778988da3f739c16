import keras
import numpy as np
import pytest

import kgen  # noqa: F401  load_model knows its classes by it
from kgen.heads import ClassificationHead, ReconstructionHead
from kgen.models import MultiTaskModel
from tests.models import tiny


def model(weights=None):
    heads = {"band": ClassificationHead(class_names=["a", "b", "c"]), "copy": ReconstructionHead(tiny.decoder())}
    made = MultiTaskModel(tiny.encoder(8), heads, ema_momentum=0.9, seed=0)
    made.compile(keras.optimizers.Adam(1e-2), weights=weights)
    return made


@pytest.fixture(scope="module")
def trained():
    made, (images, labels) = model({"copy": 0.01}), tiny.bands()
    # Half of the labels are not known.
    made.history_of_test = made.fit(
        images, {"band": np.where(np.arange(96) < 48, labels, -1)}, epochs=10, batch_size=16, verbose=0
    ).history
    return made


@pytest.mark.backends
def test_both_are_learned_in_one_fit(trained):
    images, labels = tiny.bands()
    logs = trained.history_of_test
    assert set(logs) == {"loss", "band", "band_accuracy", "copy"}
    assert logs["copy"][-1] < 0.8 * logs["copy"][0]
    assert np.mean(trained.answer("band", images).argmax(axis=1) == labels) > 0.9
    copies = trained.answer("copy", images)
    assert copies.shape == images.shape and copies.dtype == "uint8"
    assert np.abs(copies - images.astype(int)).mean() < 0.7 * np.abs(images.mean(axis=0) - images).mean()


@pytest.mark.backends
def test_a_weight_of_nothing_teaches_nothing():
    made, (images, labels) = model({"copy": 0.0}), tiny.bands(16)
    named = {v.path: v for v in made.network.trainable_variables}
    before = {path: keras.ops.convert_to_numpy(v) for path, v in named.items()}
    made.fit(images, labels, verbose=0)
    moved = {path for path, v in named.items() if np.any(keras.ops.convert_to_numpy(v) != before[path])}
    assert "band_logits/kernel" in moved and "copy_latents/kernel" not in moved
    log = made.evaluate(images, labels, verbose=0, return_dict=True)
    assert log["copy"] == 0.0 and log["loss"] == log["band"]


@pytest.mark.backends
def test_saved_whole(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = tiny.bands(8)[0]
    for head in ("band", "copy"):
        np.testing.assert_array_equal(again.answer(head, images), trained.answer(head, images))
    assert again.weights_of_heads == {"band": 1.0, "copy": 0.01}
    assert again.heads["band"].class_names == ["a", "b", "c"]


def test_wrong_weights_and_heads(trained):
    for weights in ({"copy": -1.0}, {"nothing": 1.0}):
        with pytest.raises(ValueError, match="MultiTaskModel.compile: weights must be numbers of at least 0"):
            model(weights)
    with pytest.raises(TypeError, match=r"leave out metrics, which cannot tell the heads \['band', 'copy'\] apart"):
        trained.compile(metrics=[keras.metrics.CategoricalAccuracy()])
    with pytest.raises(ValueError, match=r"there is no head 'nothing'; the heads are \['band', 'copy'\]"):
        trained.answer("nothing", tiny.bands(2)[0])
