import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.data import CaptionedImages
from kgen.inputs.caption_input import CaptionInput, as_dicts, caption_lists, feature_standards
from kgen.models.image_model import ImageModel
from kgen.serializable import serializable
from kgen.text import CaptionFeatures, CaptionTokens
from kgen.training import Phase
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")


@pytest.fixture(scope="module")
def encoder():
    return tiny_text.text_encoder()


def intake(encoder):
    scale = keras.Variable(0.0, trainable=False)
    return CaptionInput("Model", tiny_text.SHAPE, scale, encoder, *feature_standards(encoder))


def test_features_are_read_anew_after_the_encoder_has_learned():
    made = intake(tiny_text.text_encoder())
    before = made.table(tiny_text.CAPTIONS[:2]).gather(np.arange(2, dtype="int32"))["pooled"]
    made.encoder.trainable = True
    assert isinstance(made.table(tiny_text.CAPTIONS[:2]), CaptionTokens)
    for weight in made.encoder.trainable_variables:
        weight.assign(weight + 0.1)
    made.encoder.trainable = False
    after = made.table(tiny_text.CAPTIONS[:2]).gather(np.arange(2, dtype="int32"))["pooled"]
    np.testing.assert_allclose(after, made.encoder.encode(tiny_text.CAPTIONS[:2])["pooled"], atol=1e-5)
    assert np.abs(after - before).max() > 0.01


def test_a_negative_seed_of_a_model_orders_its_captions():
    model = tiny_text.model(seed=-3)
    batches = model.image_input.opened(*tiny_text.pictures(8), 4, True)
    batches.on_epoch_begin()
    assert sorted(batches.order) == list(range(8))


def test_a_dataset_that_shuffles_is_put_in_order(encoder):
    data = CaptionedImages(*tiny_text.pictures(8))
    made = intake(encoder)
    batches, _ = made.opened_arrays("Model.fit_prior", data.as_dataset(4), None, 3, None, None, 0)
    assert not batches.shuffle and batches.batch_size == 3
    np.testing.assert_array_equal(np.concatenate([batches[i]["images"] for i in range(3)]), data.images)


def test_images_in_a_dict_beside_their_captions():
    model, (images, captions) = tiny_text.model(), tiny_text.pictures(8)
    batches = model.image_input.opened({"images": images}, captions, 4, False)
    np.testing.assert_array_equal(batches.images, images)
    assert len(batches) == 2 and "pooled" in batches[0]


def test_the_captions_of_the_first_training_set_the_standards(encoder):
    made = intake(encoder)
    table = made.table(tiny_text.CAPTIONS[4:])
    assert isinstance(table, CaptionFeatures) and float(ops.convert_to_numpy(made.standardize_pooled.adapted)) == 0
    images = tiny_text.pictures(4)[0]
    made.for_training(images, tiny_text.CAPTIONS[:4], None, 4, True)
    assert float(ops.convert_to_numpy(made.standardize_pooled.adapted)) == 1
    mean = ops.convert_to_numpy(made.standardize_tokens.mean)
    features = encoder.encode(tiny_text.CAPTIONS[:4])
    np.testing.assert_allclose(mean, features["tokens"][features["mask"]].mean(axis=0), atol=1e-5)
    made.for_training(images, tiny_text.CAPTIONS[4:8], None, 4, True)
    assert made.table(tiny_text.CAPTIONS) is table and len(table) == len(tiny_text.CAPTIONS)
    assert np.array_equal(ops.convert_to_numpy(made.standardize_tokens.mean), mean)


def test_a_share_is_held_out_to_validate_with(encoder):
    made = intake(encoder)
    images, captions = tiny_text.pictures(8)
    # The last images alone would look as if they were in [0, 1].
    images = (images / 255.0).astype("float32")
    images[:4] = 2.0 * images[:4] - 1.0
    data = made.for_training(images, captions, None, 3, True, validation_split=0.25)
    train, held_out = data["x"], data["validation_data"]
    assert (len(train.images), len(train), train.shuffle, train.batch_size) == (6, 2, True, 3)
    assert (len(held_out.images), len(held_out), held_out.shuffle) == (2, 1, False)
    assert made.is_validation(held_out) and made.float_range == (-1, 1)
    np.testing.assert_array_equal(held_out[0]["images"], images[6:])
    expected = encoder.encode([each[0] for each in captions[6:]])
    np.testing.assert_allclose(held_out[0]["pooled"], expected["pooled"], atol=1e-5)
    # Validation data of their own come first, as in Keras.
    given = made.for_training(images, captions, (images, captions), 3, True, validation_split=0.25)
    assert len(given["x"].images) == len(given["validation_data"].images) == 8
    for share, message in ((0.95, "=0.95 of 8 images leaves none"), (1.5, " must be in")):
        with pytest.raises(ValueError, match=f"Model.fit: validation_split{message}"):
            made.for_training(images, captions, None, 3, True, validation_split=share)


def test_a_dataset_of_captioned_images_has_the_order_of_its_epoch(encoder, tensorflow_backend):
    images, _ = tiny_text.pictures(8)
    data = CaptionedImages(images, [[f"{i} a", f"{i} b"] for i in range(8)])

    def epochs(first, count):
        """The features of epochs, as a process that goes on after so many of two steps sees them."""
        made, rows = intake(encoder), []
        for epoch in range(first, first + count):
            made.steps_done = lambda epoch=epoch: 2 * epoch
            batches = made.opened(data.as_dataset(4, seed=3), None, None, False)
            rows.append(np.concatenate([batches[i]["pooled"] for i in range(len(batches))]))
        return rows

    whole = epochs(0, 3)
    np.testing.assert_array_equal(whole[2], epochs(2, 1)[0])
    assert not np.array_equal(whole[1], whole[2])
    unshuffled = intake(encoder).opened(data.as_dataset(4, shuffle=False), None, None, True)
    np.testing.assert_array_equal(unshuffled[0]["images"], images[:4])


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
        (["one"], ValueError, "2 images and 1 captions"),
        (["one", []], ValueError, "image 1 has no caption"),
        (["one", ["two", "\u200b"]], ValueError, "image 1: caption 1 is empty"),
        (["one", 2], TypeError, "got 2, a int"),
    ],
)
def test_captions_that_do_not_fit(captions, kind, said):
    with pytest.raises(kind, match=f"Model: .*{said}"):
        caption_lists("Model", np.zeros((2, 4, 4, 3)), captions)


@pytest.mark.parametrize("as_dict", [False, True])
def test_captions_of_a_dataset_that_are_numbers(as_dict):
    tf = pytest.importorskip("tensorflow")
    images, numbers = np.zeros((4, 16, 16, 3), "uint8"), np.arange(4)
    data = {"images": images, "captions": numbers} if as_dict else (images, numbers)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(2)
    for give in (brightness().image_input.opened, lambda x, *_: as_dicts("Brightness", x)):
        with pytest.raises(TypeError, match="Brightness: captions must be strings; the dataset gives int64. .*num_cla"):
            give(dataset, None, 2, False)
    several = tf.data.Dataset.from_tensor_slices((images, np.full((4, 2), "a"))).batch(2)
    with pytest.raises(ValueError, match=r"Brightness: a dataset must give one caption .* shape \(None, 2\)"):
        as_dicts("Brightness", several)


def test_an_empty_caption_of_a_dataset_is_told_by_its_batch(encoder):
    tf = pytest.importorskip("tensorflow")
    data = {"images": tiny_text.pictures(4)[0], "captions": ["one", "two", "three", "\u200b"]}
    with pytest.raises(ValueError, match="Model: batch 1 of the dataset: caption 1 is empty"):
        intake(encoder).dataset(tf.data.Dataset.from_tensor_slices(data).batch(2))


# === In a model ===
@serializable
class Brightness(ImageModel):
    """Tells from a caption how bright its image is."""

    def __init__(self, text_encoder, image_shape, seed=0):
        super().__init__(seed=seed)
        self.text_encoder = text_encoder
        self.image_shape = image_shape
        standards = self.standardize_pooled, self.standardize_tokens = feature_standards(text_encoder)
        self.image_input = CaptionInput(
            "Brightness", image_shape, self.float_scale, text_encoder, *standards, seed=seed, steps_done=self.steps_done
        )
        self.dense = layers.Dense(1)
        self.dense.build((None, self.text_encoder.pooled_dim))
        self.built = True

    def phases(self):
        variables = [*self.dense.trainable_variables, *self.text_encoder.trainable_variables]
        return [Phase("dense", self.error, variables)]

    def error(self, batch, training):
        features = {key: value for key, value in batch.items() if key != "images"}
        guess = self.dense(self.image_input.encoded(features, training)["pooled"])[:, 0]
        return ops.square(guess - ops.mean(batch["images"], axis=(1, 2, 3)))


def brightness(trainable=False):
    return Brightness(tiny_text.text_encoder(trainable), tiny_text.SHAPE)


@pytest.mark.parametrize("trainable", [False, True])
def test_a_subclass_says_only_what_it_minimises(trainable):
    model = brightness(trainable)
    model.compile(keras.optimizers.Adam(0.05))
    losses = model.fit(*tiny_text.pictures(8), batch_size=4, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.backends
def test_learns_from_features_alone():
    model = brightness()
    model.compile(keras.optimizers.Adam(0.05))
    images, captions = tiny_text.pictures(8)
    features = tiny_text.text_encoder().encode([each if isinstance(each, str) else each[0] for each in captions])
    losses = model.fit({"images": images, **features}, batch_size=4, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_features_are_standardized_and_end_with_the_caption():
    model = brightness()
    captions = [*tiny_text.CAPTIONS, "red"]
    model.image_input.set_standards(model.image_input.table(captions), captions)
    features = model.text_encoder.encode(captions)
    encoded = {key: ops.convert_to_numpy(value) for key, value in model.image_input.encoded(features).items()}
    np.testing.assert_allclose(encoded["pooled"].mean(axis=0), 0.0, atol=1e-4)
    assert np.array_equal(encoded["mask"], features["mask"]) and not encoded["mask"].all()
    assert (encoded["tokens"][~encoded["mask"]] == 0).all() and np.abs(encoded["tokens"]).max() > 0


def test_errors_name_the_model_at_hand():
    model = brightness()
    model.compile()
    with pytest.raises(ValueError, match="Brightness: captions are missing"):
        model.fit(tiny_text.pictures(4)[0])
    with pytest.raises(ValueError, match="Brightness: images must be uint8, or float .* Divide by 255"):
        model.fit(255.0 * np.ones((4, *tiny_text.SHAPE)), ["a red picture"] * 4)
    assert model.image_input.features is None
    assert {"text_encoder", "image_shape", "seed"} <= set(model.get_config())


def test_validation_is_measured_as_evaluate_does():
    model = brightness()
    model.compile(keras.optimizers.SGD(0.0))
    images, captions = tiny_text.pictures(8)
    others = images[:4] / np.float32(127.5) - 1, [each[:1] for each in captions[:4]]
    texts = [caption for each in captions for caption in each]
    model.image_input.set_standards(model.image_input.table(texts), texts)
    expected = model.evaluate(*others, batch_size=4, verbose=0)
    history = model.fit(images, captions, batch_size=4, validation_data=others, verbose=0).history
    np.testing.assert_allclose(history["val_loss"], [expected], rtol=1e-5)
    assert model.image_input.float_range == (-1, 1)
