import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.heads import ClassificationHead, SegmentationHead
from kgen.models import MultiTaskModel
from tests.checks import models
from tests.models import tiny


def backbone(shape=tiny.SHAPE):
    """A convolution, and features of it."""
    images = keras.Input(shape, name="images")
    x = layers.Conv2D(4, 2, 2, activation="relu", name="maps")(images)
    x = layers.Dense(8, activation="relu", name="features")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(3, name="unused")(x))


def masks():
    """Where an image of `tiny.bands` is bright."""
    return (tiny.bands()[0].mean(axis=-1) > 120).astype("uint8")


def both(**kwargs):
    """One model with a question about the image, one about its pixels."""
    heads = {"band": ClassificationHead(tiny.CLASSES), "bright": SegmentationHead(2, filters=4)}
    return MultiTaskModel(backbone(), heads, seed=0, **kwargs)


def answers():
    return {"band": tiny.bands()[1], "bright": masks()}


@pytest.fixture(scope="module")
def trained():
    model = both(ema_momentum=0.9)
    model.compile(keras.optimizers.Adam(0.03), augmentation=layers.RandomFlip("vertical"))
    model.history_of_test = model.fit(
        tiny.bands()[0], answers(), epochs=8, batch_size=16, verbose=0, validation_data=(tiny.bands()[0], answers())
    ).history
    return model


# === Building ===
def test_the_backbone_is_copied_and_its_last_layers_left_out():
    network = backbone()
    model = MultiTaskModel(network, {"band": ClassificationHead(3)}, frozen=True, seed=0)
    assert network.trainable and network.get_layer("features").trainable
    assert not any("unused" in v.path for v in model.variables)
    copied, given = model.backbone.get_layer("maps").get_weights(), network.get_layer("maps").get_weights()
    np.testing.assert_array_equal(copied[0], given[0])


def test_what_is_frozen():
    counts = {}
    model = MultiTaskModel(backbone(), {"band": ClassificationHead(3)}, seed=0)
    for frozen in (True, "maps", False):
        model.frozen = frozen
        counts[frozen] = len(model.phases()[0].variables)
    assert counts == {True: 2, "maps": 4, False: 6}
    with pytest.raises(ValueError, match="frozen must be True, False or the name of a layer of the backbone"):
        model.frozen = "nothing"


def test_a_frozen_backbone_stays_and_the_rest_learns():
    model = both(frozen=True)
    model.compile(keras.optimizers.SGD(0.1))
    before, heads = tiny.weights(model.backbone), tiny.weights(model.network)
    model.fit(tiny.bands()[0], answers(), verbose=0)
    assert not tiny.moved(before, model.backbone) and tiny.moved(heads, model.network)


@pytest.mark.backends
def test_images_are_adapted_to_the_backbone():
    seen = keras.Input((4, 4, 3), name="images")
    looking = keras.Model(seen, layers.Identity(name="features")(layers.Flatten()(seen)))
    model = MultiTaskModel(
        looking, {"band": ClassificationHead(2)}, image_shape=(8, 8, 1), value_range=(0.0, 255.0), seed=0
    )
    assert model.image_shape == (8, 8, 1)
    inner = keras.Model(model.network.input, model.network.get_layer("band_dropout").input)
    values = ops.convert_to_numpy(inner(np.full((1, 8, 8, 1), 0.5, "float32")))
    np.testing.assert_allclose(values, np.full((1, 48), 0.75 * 255), rtol=1e-5)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"heads": {}}, TypeError, "heads must be a dict from name to kgen.heads.Head; got {}"),
        ({"heads": {"a": 3}}, TypeError, "heads must be a dict from name to kgen.heads.Head"),
        ({"value_range": (1, 0)}, ValueError, r"value_range must be \(low, high\)"),
        ({"image_shape": (8, 8)}, ValueError, r"image_shape must be \(height, width, channels\)"),
        ({"image_shape": (8, 8, 2)}, ValueError, "the backbone takes images of 3 channels; image_shape"),
        (
            {"backbone": layers.Dense(3)},
            TypeError,
            "the backbone must be a name or a keras.Model; got Dense",
        ),
    ],
)
def test_what_does_not_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        MultiTaskModel(**{"backbone": backbone(), "heads": {"band": ClassificationHead(3)}, **arguments})


# === Training ===
@pytest.mark.backends
def test_every_head_learns(trained):
    logs = trained.history_of_test
    own = {"loss", "band", "bright_cross_entropy", "bright_dice", "band_accuracy", "bright_mean_iou"}
    assert set(logs) == own | {f"val_{name}" for name in own}
    assert logs["val_band_accuracy"][-1] > 0.9 and logs["val_bright_mean_iou"][-1] > 0.8
    np.testing.assert_allclose(
        logs["loss"],
        np.sum([logs[name] for name in ("band", "bright_cross_entropy", "bright_dice")], axis=0),
        rtol=1e-4,
    )


@pytest.mark.backends
def test_the_average_answers(trained):
    images, labels = tiny.bands()
    probabilities = trained.ask("band", images, "classify", verbose=0)
    logs = trained.evaluate(images, answers(), verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["band_accuracy"], np.mean(probabilities.argmax(axis=1) == labels), atol=1e-6)
    seen = trained.ask("bright", images / np.float32(255), "segment", verbose=0)
    assert seen.shape == masks().shape and seen.dtype == "uint8" and np.mean(seen == masks()) > 0.9
    # Not the weights that are being trained.
    trained_weights = trained.network.get_weights()
    trained.network.set_weights([weight * 0 for weight in trained_weights])
    np.testing.assert_array_equal(trained.ask("band", images, "classify", verbose=0), probabilities)
    trained.network.set_weights(trained_weights)


@pytest.mark.backends
def test_answers_in_any_form():
    images, labels = tiny.bands(8)
    model = MultiTaskModel(tiny.encoder(4), {"band": ClassificationHead(3)}, seed=0)
    model.compile()
    losses = [
        model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
        for x, y in ((images, labels), (images, list(labels)), ({"images": images, "band": labels}, None))
    ]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


@pytest.mark.parametrize(
    "y, message",
    [
        (None, r"band must be given; call fit\(images, {'band': ...}\)"),
        ({"bright": masks()}, "band must be given"),
        ({"band": tiny.bands()[1]}, "bright must be given"),
        ({"band": np.full(96, 3), "bright": masks()}, "labels must be in -1 .. 2; got 3 to 3"),
    ],
)
def test_missing_and_wrong_answers(trained, y, message):
    with pytest.raises(ValueError, match=message):
        trained.fit(tiny.bands()[0], y)


def test_the_augmentation_is_saved():
    model = both()
    model.compile(augmentation=[layers.RandomBrightness(0.3), layers.RandomFlip("vertical")])
    again = keras.saving.deserialize_keras_object(model.get_compile_config()["augmentation"])
    assert again[0].factor == layers.RandomBrightness(0.3).factor and again[1].mode == "vertical"
    model.compile()
    assert model.get_compile_config()["augmentation"] is None


def compiled():
    model = both(ema_momentum=0.9)
    model.compile(augmentation=layers.RandomFlip())
    return model


@pytest.mark.slow
@pytest.mark.backends
def test_evaluation_changes_nothing():
    models.check_evaluation(compiled, (tiny.bands(16)[0], {name: each[:16] for name, each in answers().items()}))
