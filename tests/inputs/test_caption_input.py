import numpy as np
import pytest
from keras import ops

from kgen.inputs.caption_input import CaptionInput, as_dicts, caption_lists
from kgen.text import CaptionFeatures, CaptionTokens, FeatureStandardization
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")


@pytest.fixture(scope="module")
def encoder():
    return tiny_text.text_encoder()


def intake(encoder):
    layers = FeatureStandardization(), FeatureStandardization()
    for layer in layers:
        layer.build((None, 16))
    return CaptionInput("Model", encoder, *layers)


def test_the_first_captions_set_the_standards_and_later_ones_do_not(encoder):
    made = intake(encoder)
    table = made.table(tiny_text.CAPTIONS[:4])
    assert isinstance(table, CaptionFeatures) and float(ops.convert_to_numpy(made.standardize_pooled.adapted)) == 1
    mean = ops.convert_to_numpy(made.standardize_tokens.mean)
    features = encoder.encode(tiny_text.CAPTIONS[:4])
    np.testing.assert_allclose(mean, features["tokens"][features["mask"]].mean(axis=0), atol=1e-5)
    assert made.table(tiny_text.CAPTIONS) is table and len(table) == len(tiny_text.CAPTIONS)
    assert np.array_equal(ops.convert_to_numpy(made.standardize_tokens.mean), mean)


def test_an_encoder_in_training_is_given_tokens():
    made = intake(tiny_text.text_encoder(trainable=True))
    assert isinstance(made.table(["a red picture"]), CaptionTokens)
    assert float(ops.convert_to_numpy(made.standardize_pooled.adapted)) == 0


def test_datasets_of_pairs_of_dicts_and_of_something_else(encoder):
    tf = pytest.importorskip("tensorflow")
    images, captions = tiny_text.pictures(4)
    captions = [each[0] for each in captions]
    pairs = tf.data.Dataset.from_tensor_slices((images, captions)).batch(2)
    assert set(as_dicts("Model", pairs).element_spec) == {"images", "captions"}
    batch = next(iter(intake(encoder).dataset(as_dicts("Model", pairs))))
    assert set(batch) == {"images", "pooled", "tokens", "mask"} and batch["pooled"].shape == (2, 16)
    with pytest.raises(ValueError, match="Model: a dataset must give batches"):
        as_dicts("Model", tf.data.Dataset.from_tensor_slices({"pictures": images}).batch(2))


@pytest.mark.parametrize(
    ("captions", "kind", "said"),
    [
        (None, ValueError, "captions are missing"),
        (["one"], ValueError, "2 pictures and 1 captions"),
        (["one", []], ValueError, "picture 1 has no caption"),
        (["one", 2], TypeError, "got 2, a int"),
    ],
)
def test_captions_that_do_not_fit(captions, kind, said):
    with pytest.raises(kind, match=f"Model: .*{said}"):
        caption_lists("Model", np.zeros((2, 4, 4, 3)), captions)
