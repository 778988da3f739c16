import keras
import numpy as np
import pytest

from kgen.heads import ClassificationHead, ReconstructionHead
from kgen.losses import label_cross_entropy
from kgen.models import ImageClassifier, ImageSegmenter, MultiTaskModel
from tests.models import tiny
from tests.models.test_recognition_model import backbone, masks

NAMES = ["left", "middle", "right"]


def classifier(**compiling):
    model = ImageClassifier(tiny.encoder(4), class_names=NAMES, ema_momentum=0.0, seed=0)
    model.compile(keras.optimizers.SGD(0.1), **compiling)
    return model


def trained(**weights):
    """Weights after one step on images that lack nothing but for what the arguments say."""
    keras.utils.set_random_seed(0)
    model, (images, labels) = classifier(), tiny.bands(12)
    model.fit(images, labels, batch_size=12, shuffle=False, verbose=0, **weights)
    return tiny.weights(model.network)


def same(first, second):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second))


@pytest.mark.backends
def test_a_class_weight_is_a_weight_of_its_samples():
    labels = tiny.bands(12)[1]
    by_class = trained(class_weight={0: 1.0, "right": 5.0})
    assert same(by_class, trained(sample_weight=np.where(labels == 2, 5.0, 1.0)))
    assert same(trained(), trained(class_weight={0: 1})) and not same(by_class, trained())
    assert not same(trained(sample_weight=labels == 1), trained())


@pytest.mark.backends
def test_the_loss_and_the_metrics_by_hand():
    model = classifier(metrics=[keras.metrics.CategoricalAccuracy(name="right")])
    images, labels = tiny.bands(12)
    weight = np.arange(12) % 3 / np.float32(2)
    logits = keras.ops.convert_to_numpy(model(images / np.float32(127.5) - 1))
    nats = keras.ops.convert_to_numpy(label_cross_entropy(np.eye(3)[labels], logits))
    right = (logits.argmax(axis=1) == labels) @ weight / weight.sum()
    given = [model.evaluate(images, labels, sample_weight=weight, batch_size=5, verbose=0, return_dict=True)]
    model.fit(
        images, labels, validation_data=(images, labels, weight), class_weight={0: 0.0, 1: 0.0, 2: 0.0}, verbose=0
    )
    assert model.image_input.class_weights == {}
    history = model.history.history
    assert history["loss"] == [0.0]
    given.append({name: history[f"val_{name}"][0] for name in ("loss", "right", "accuracy")})
    for logs in given:
        np.testing.assert_allclose(logs["loss"], np.mean(nats * weight), rtol=1e-4)
        np.testing.assert_allclose([logs["right"], logs["accuracy"]], right, rtol=1e-4)
    assert model.test_on_batch(images, labels, sample_weight=weight, return_dict=True)["loss"] == pytest.approx(
        np.mean(nats * weight), rel=1e-4
    )


def test_datasets_bring_weights(tensorflow_backend):
    import tensorflow as tf

    images, labels = tiny.bands(12)
    weight = np.where(labels == 2, 5.0, 1.0)
    keras.utils.set_random_seed(0)
    model = classifier()
    model.fit(tf.data.Dataset.from_tensor_slices((images, labels[:, None], weight)).batch(12), verbose=0)
    assert same(tiny.weights(model.network), trained(class_weight={2: 5.0}))


@pytest.mark.backends
def test_pixels_of_a_segmenter_and_mixed_images():
    model = ImageSegmenter(backbone(), 2, filters=4, ema_momentum=0.0, seed=0)
    model.compile(keras.optimizers.SGD(0.0), metrics=[keras.metrics.CategoricalAccuracy(name="right")])
    images, some = tiny.bands(8)[0], masks()[:8]
    plain = model.evaluate(images, some, verbose=0, return_dict=True)
    weighted = model.evaluate(images, some, sample_weight=np.full(8, 0.5), verbose=0, return_dict=True)
    for name, share in (("cross_entropy", 0.5), ("dice", 0.5), ("mean_iou", 1.0), ("right", 1.0)):
        assert weighted[name] == pytest.approx(share * plain[name], rel=1e-4)
    logs = model.fit(images, some, class_weight={0: 0.0, 1: 0.0}, verbose=0).history
    assert logs["cross_entropy"] == [0.0] and logs["dice"] == [pytest.approx(plain["dice"], rel=1e-4)]
    mixing = classifier(augmentation=keras.layers.MixUp())
    logs = mixing.fit(*tiny.bands(8), sample_weight=np.zeros(8), verbose=0).history
    assert logs["loss"] == [0.0]


@pytest.mark.backends
def test_several_heads():
    heads = {"band": ClassificationHead(3), "copy": ReconstructionHead(tiny.decoder())}
    model = MultiTaskModel(tiny.encoder(8), heads, ema_momentum=0.0, seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    images, labels = tiny.bands(8)
    plain = model.evaluate(images, labels, verbose=0, return_dict=True)
    for weight, band, copy in ((np.full(8, 0.5), 0.5, 0.5), ({"band": np.zeros(8)}, 0.0, 1.0)):
        logs = model.fit(images, {"band": labels}, sample_weight=weight, verbose=0).history
        assert logs["band"][0] == pytest.approx(band * plain["band"], rel=1e-4)
        assert logs["copy"][0] == pytest.approx(copy * plain["copy"], rel=1e-4)
    logs = model.fit(images, {"band": labels}, class_weight={"band": {0: 2, 1: 2, 2: 2}}, verbose=0).history
    assert logs["band"][0] == pytest.approx(2 * plain["band"], rel=1e-4)


@pytest.mark.parametrize(
    "weights, error, message",
    [
        ({"class_weight": {3: 1.0}}, ValueError, "class_weight must be a dict from classes .*; got 3: 1.0"),
        ({"class_weight": {"top": 1.0}}, ValueError, "numbers below 3, or names.* got 'top': 1.0"),
        ({"class_weight": {0: -1.0}}, ValueError, "to numbers of at least 0; got 0: -1.0"),
        ({"class_weight": [1.0, 2.0, 3.0]}, TypeError, "class_weight must be a dict from a class to its weight"),
        ({"sample_weight": np.ones(3)}, ValueError, r"must be 12 numbers of at least 0, .*; got shape \(3,\)"),
        ({"sample_weight": []}, ValueError, r"must be 12 numbers of at least 0, .*; got shape \(0,\)\."),
        ({"sample_weight": -np.ones(12)}, ValueError, "one for each image; got shape .12,., -1 to -1"),
        (
            {"sample_weight": {"masks": np.ones(12)}},
            ValueError,
            r"sample_weight must be among \['labels'\]; got \['masks'\]",
        ),
    ],
)
def test_what_is_wrong(weights, error, message):
    with pytest.raises(error, match=f"ImageClassifier: .*{message}"):
        classifier().fit(*tiny.bands(12), verbose=0, **weights)


def test_weights_of_a_call_that_fails_are_not_those_of_the_next():
    model, (images, labels) = classifier(), tiny.bands(12)
    with pytest.raises(ValueError, match="labels must be 12 integers"):
        model.fit(images, labels[:5], class_weight={0: 100.0}, verbose=0)
    keras.utils.set_random_seed(0)
    model.fit(images, labels, batch_size=12, shuffle=False, verbose=0)
    assert same(tiny.weights(model.network), trained())


def test_where_weights_mean_nothing():
    images, labels = tiny.bands(8)
    with pytest.raises(ValueError, match="train_on_batch: class_weight is only for fit; give sample_weight"):
        classifier().train_on_batch(images, labels, class_weight={0: 2.0})
    gan = tiny.gan()
    gan.compile()
    for name in ("class_weight", "sample_weight"):
        with pytest.raises(ValueError, match=f"{name} has no meaning for this model"):
            gan.fit(tiny.pictures(8), **{name: {0: 1.0}})


@pytest.mark.backends
def test_labels_in_a_column():
    """As `keras.datasets.cifar10` gives them."""
    images, labels = tiny.bands(8)
    model = classifier()
    assert model.evaluate(images, labels[:, None], verbose=0) == model.evaluate(images, labels, verbose=0)
    named = np.array(NAMES)[labels]
    assert model.evaluate(images, named[:, None], verbose=0) == model.evaluate(images, labels, verbose=0)
    gan = tiny.ac_gan()
    gan.compile()
    gan.fit(images, labels[:, None] % gan.num_classes, verbose=0)
    np.testing.assert_array_equal(gan.generate(labels=[[1], [0]], seed=0), gan.generate(labels=[1, 0], seed=0))
    with pytest.raises(ValueError, match="labels must be 8 integers, one for each image; got shape .8, 2."):
        model.fit(images, np.zeros((8, 2), int))


# === In a callback ===
def evaluated_within_fit(model, answers, **options):
    """What `evaluate` gives for the validation images of a training that is going on."""
    images, labels = tiny.bands(9)
    found = []
    ask = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: found.append(
            model.evaluate(images, labels if answers is None else answers, return_dict=True, verbose=0, **options)
        )
    )
    model.fit(images, labels, validation_data=(images, labels), callbacks=[ask], verbose=0)
    return found[0]["loss"]


@pytest.mark.backends
def test_evaluating_the_validation_data_in_a_callback():
    names = [NAMES[label] for label in tiny.bands(9)[1]]
    assert evaluated_within_fit(classifier(run_eagerly=True), names) > 0.1
    assert evaluated_within_fit(classifier(run_eagerly=True), names, sample_weight=np.zeros(9)) == 0.0
    # The same object as the validation data's answers: these classes have no names.
    nameless = ImageClassifier(tiny.encoder(4), num_classes=3, ema_momentum=0.0, seed=0)
    nameless.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    assert evaluated_within_fit(nameless, None, sample_weight=np.zeros(9)) == 0.0


@keras.saving.register_keras_serializable(package="kgen_tests")
class Busy(keras.layers.Layer):
    """Adds a loss, but only in training."""

    def call(self, inputs, training=False):
        if training:
            self.add_loss(keras.ops.mean(inputs**2))
        return inputs


def test_a_loss_that_a_layer_adds_only_in_training():
    inputs = keras.Input(tiny.SHAPE)
    model = ImageClassifier(keras.Model(inputs, Busy()(keras.layers.Flatten()(inputs))), num_classes=3, ema_momentum=0)
    model.compile()
    images, labels = tiny.bands(6)
    first = model.evaluate(images, labels, return_dict=True, verbose=0)
    model.fit(images, labels, verbose=0)
    assert model.evaluate(images, labels, return_dict=True, verbose=0).keys() >= first.keys()
