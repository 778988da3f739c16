import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import Gaussian
from kgen.sampling.fit_code_prior import _Draws
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

# Four of six are red and two are green, whatever a caption says.
IMAGES = tiny_text.pictures(16)[0][[0, 1, 4, 0, 5, 8]]
CAPTIONS = [["a picture", "a sheet of paper"]] * 6


def model():
    """Of one word with four values, of which the encoder gives red images the second and green ones the fourth."""
    images, pooled = keras.Input(tiny_text.SHAPE, name="images"), keras.Input((16,), name="pooled")
    found = keras.layers.Dense(4, name="found")(keras.layers.Flatten()(images))
    encoder = keras.Model({"images": images, "pooled": pooled}, found)
    # By the red of one pixel, which is 1 or -1.
    kernel = np.zeros((16, 16, 3, 4), "float32")
    kernel[0, 0, 0] = [0.0, 20.0, 0.0, -20.0]
    encoder.get_layer("found").set_weights([kernel.reshape((-1, 4)), np.zeros(4, "float32")])
    parts = {"encoder": encoder, "generator": tiny_text.decoder(), "reconstruction": Gaussian(0.5)}
    return tiny_text.model(codes=(1, 4), **parts)


@pytest.mark.backends
def test_the_prior_learns_how_often_words_are_and_all_else_stays():
    made, again = model(), model()
    again.set_weights(made.get_weights())
    before = {name: getattr(made, name).get_weights() for name in ("encoder", "generator", "average", "text_encoder")}
    gain = made.fit_prior(IMAGES, CAPTIONS, steps=300, verbose=0)
    for name, weights in before.items():
        for old, new in zip(weights, getattr(made, name).get_weights()):
            np.testing.assert_array_equal(old, new)
    condition = made.condition(made.text_encoder.encode(["a picture", "a sheet of paper"], verbose=0))
    for training in (True, False):
        logs = made.codes.log_probabilities(ops.zeros((2, 4)), condition, training)
        shares = np.exp(ops.convert_to_numpy(ops.stop_gradient(logs)))[:, 0]
        np.testing.assert_allclose(shares, [[0, 2 / 3, 0, 1 / 3]] * 2, atol=0.05)
    # From four values, each as likely, to the entropy of the two that there are.
    assert abs(gain - (np.log(4) - 0.6365)) < 0.05
    # The same again is the same, of floats too.
    floats = (IMAGES / 255.0).astype("float32")
    repeated = again.fit_prior(floats, CAPTIONS, steps=300, verbose=0, value_range=(0, 1))
    assert repeated == pytest.approx(gain, abs=1e-4)


def test_learning_hides_words_and_measuring_hides_none():
    random = np.random.default_rng(0)
    logits, pooled = random.normal(size=(256, 6, 4)), random.normal(size=(256, 8)).astype("float32")
    inputs, targets = _Draws(logits, pooled, 1, 0, noise=0.1, hidden=0.6)[0]
    np.testing.assert_array_equal(targets.sum(axis=-1), 1.0)
    shown = inputs["codes"].any(axis=-1)
    np.testing.assert_array_equal(inputs["codes"], targets * shown[..., None])
    # Each caption has its own share, from none to 0.6.
    assert abs(shown.mean() - 0.7) < 0.03 and np.var(shown.mean(axis=1)) > 0.3 * 0.7 / 6 + 0.01
    inputs, targets = _Draws(logits, pooled, 1, 0)[0]
    np.testing.assert_array_equal(inputs["codes"], targets)
    assert {row.tobytes() for row in inputs["pooled"]} == {row.tobytes() for row in pooled}


def keras_batches():
    class Features(keras.utils.PyDataset):
        def __getitem__(self, index):
            return {"images": IMAGES[:2], "pooled": np.zeros((2, 4), "float32")}

    return Features()


def test_bad_input():
    made = model()
    with pytest.raises(TypeError, match="TextToImage.fit_prior: pass images and captions as arrays and lists"):
        made.fit_prior(keras_batches())
    with pytest.raises(ValueError, match="captions are missing"):
        made.fit_prior({"images": IMAGES})
    with pytest.raises(ValueError, match="TextToImage.fit_prior: value_range"):
        made.fit_prior(IMAGES / 255.0, CAPTIONS, value_range=(0, 9))
    with pytest.raises(ValueError, match="TextToImage.fit_prior: steps must be an integer of at least 1; got 0"):
        made.fit_prior(IMAGES, CAPTIONS, steps=0)
    with pytest.raises(ValueError, match="TextToImage.fit_prior: seed must be an integer; got 'a'"):
        made.fit_prior(IMAGES, CAPTIONS, seed="a")
