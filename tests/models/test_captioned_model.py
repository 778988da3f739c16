import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.models.captioned_model import CaptionedModel
from kgen.training import Phase
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")


class Brightness(CaptionedModel):
    """Tells from a caption how bright its picture is."""

    def __init__(self, trainable=False):
        super().__init__(tiny_text.text_encoder(trainable), tiny_text.SHAPE, seed=0)
        self.dense = layers.Dense(1)
        self.dense.build((None, self.text_encoder.pooled_dim))
        self.built = True

    def phases(self):
        variables = [*self.dense.trainable_variables, *self.text_encoder.trainable_variables]
        return [Phase("dense", self.error, variables)]

    def error(self, batch, training):
        features = {key: value for key, value in batch.items() if key != "images"}
        guess = self.dense(self.encoded(features, training)["pooled"])[:, 0]
        return ops.square(guess - ops.mean(batch["images"], axis=(1, 2, 3)))


@pytest.mark.parametrize("trainable", [False, True])
def test_a_subclass_says_only_what_it_minimises(trainable):
    model = Brightness(trainable)
    model.compile(keras.optimizers.Adam(0.05))
    losses = model.fit(*tiny_text.pictures(8), batch_size=4, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.backends
def test_learns_from_features_alone():
    model = Brightness()
    model.compile(keras.optimizers.Adam(0.05))
    images, captions = tiny_text.pictures(8)
    features = tiny_text.text_encoder().encode([each if isinstance(each, str) else each[0] for each in captions])
    losses = model.fit({"images": images, **features}, batch_size=4, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_features_are_standardized_and_end_with_the_caption():
    model = Brightness()
    captions = [*tiny_text.CAPTIONS, "red"]
    model.image_input.table(captions)
    features = model.text_encoder.encode(captions)
    encoded = {key: ops.convert_to_numpy(value) for key, value in model.encoded(features).items()}
    np.testing.assert_allclose(encoded["pooled"].mean(axis=0), 0.0, atol=1e-4)
    assert np.array_equal(encoded["mask"], features["mask"]) and not encoded["mask"].all()
    assert (encoded["tokens"][~encoded["mask"]] == 0).all() and np.abs(encoded["tokens"]).max() > 0


def test_errors_name_the_model_at_hand():
    model = Brightness()
    model.compile()
    with pytest.raises(ValueError, match="Brightness: captions are missing"):
        model.fit(tiny_text.pictures(4)[0])
    assert {"text_encoder", "image_shape", "seed"} <= set(model.get_config())
