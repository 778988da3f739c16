import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.losses import Gaussian
from kgen.networks.interface import feed
from kgen.sampling import renew_code_words
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

# Sixteen kinds of images of which captions say nothing: four kinds of each of two halves.
KINDS = np.arange(16)
CAPTIONS = [["a picture"]] * 16


def images():
    """The left half and the right half each have one of four colours; the left ones are brighter."""
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    made = np.zeros((16, *tiny_text.SHAPE), "uint8")
    made[:, :, :8] = colors[KINDS % 4][:, None, None]
    made[:, :, 8:] = (colors // 2)[KINDS // 4][:, None, None]
    return made


def model():
    """Of three words of four values, whose encoder knows nothing yet."""
    pictures, pooled = keras.Input(tiny_text.SHAPE, name="images"), keras.Input((16,), name="pooled")
    latents = keras.Input((12,), name="latents")
    encoder = keras.Model({"images": pictures, "pooled": pooled}, layers.Dense(12)(layers.Flatten()(pictures)))
    x = layers.Dense(int(np.prod(tiny_text.SHAPE)))(layers.Concatenate()([latents, pooled]))
    generator = keras.Model({"latents": latents, "pooled": pooled}, layers.Reshape(tiny_text.SHAPE)(x))
    return tiny_text.model(codes=(3, 4), encoder=encoder, generator=generator, reconstruction=Gaussian(0.5))


@pytest.mark.backends
def test_renewed_words_tell_what_the_model_does_not():
    made = model()
    before = made.generator.get_weights()
    explained = renew_code_words(made, images(), CAPTIONS, words=2, steps=150, verbose=0)
    for old, new in zip(before, made.generator.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert 0.99 < explained <= 1.0
    condition = made.condition(made.text_encoder.encode(["a picture"] * 16, verbose=0))
    seen = ops.convert_to_tensor(images().astype("float32") / 127.5 - 1)
    logits = ops.convert_to_numpy(ops.stop_gradient(feed(made.encoder, "images", seen, condition, False)))
    told = logits.reshape((16, 3, 4)).argmax(axis=-1)
    # One word tells the left half, another the right one.
    for half in (KINDS % 4, KINDS // 4):
        assert min(len(set(zip(told[:, word], half))) for word in range(3)) == 4


def test_bad_input():
    with pytest.raises(ValueError, match="renew_code_words: the model must be a TextToImage with codes"):
        renew_code_words(tiny_text.model(), images(), CAPTIONS)
    made = model()
    with pytest.raises(ValueError, match="renew_code_words: words must be an integer from 1 to 3; got 4"):
        renew_code_words(made, images(), CAPTIONS, words=4)
    with pytest.raises(ValueError, match="renew_code_words: steps must be an integer of at least 1; got 0"):
        renew_code_words(made, images(), CAPTIONS, words=2, steps=0)
