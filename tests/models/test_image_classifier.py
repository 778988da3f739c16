import keras
import numpy as np
import pytest
from keras import layers, ops

import kgen  # noqa: F401  load_model knows its classes by it
from kgen.losses import distillation, label_cross_entropy
from kgen.models import ImageClassifier, ImageSegmenter
from tests.checks import models
from tests.models import tiny

NAMES = ["left", "middle", "right"]


def classifier(**kwargs):
    return ImageClassifier(tiny.encoder(8), class_names=NAMES, ema_momentum=0.9, seed=0, **kwargs)


@pytest.fixture(scope="module")
def trained():
    model = classifier()
    model.compile(keras.optimizers.Adam(1e-2), label_smoothing=0.1)
    images, labels = tiny.bands()
    model.fit(images, [NAMES[label] for label in labels], epochs=4, batch_size=16, verbose=0)
    return model


@pytest.mark.backends
def test_classify(trained):
    images, labels = tiny.bands()
    probabilities = trained.classify(images)
    assert probabilities.shape == (96, 3) and probabilities.dtype == "float32"
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == labels) > 0.9
    best = trained.classify(images[:3], top=2)
    assert [row[0][0] for row in best] == [NAMES[k] for k in probabilities[:3].argmax(axis=1)]
    for row, expected in zip(best, -np.sort(-probabilities[:3], axis=1)):
        np.testing.assert_allclose([share for _, share in row], expected[:2], rtol=1e-5)
    logits = ops.convert_to_numpy(trained(images[:3] / np.float32(127.5) - 1))
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), probabilities[:3], rtol=1e-4)
    for top in (0, 4, True, 1.0):
        with pytest.raises(ValueError, match="ImageClassifier.classify: top must be an integer from 1 to 3"):
            trained.classify(images, top=top)
    with pytest.raises(ValueError, match=r"ImageClassifier.classify: images must have shape \(N, 8, 8, 3\)"):
        trained.classify(images[0])


def test_a_metric_with_a_number_for_each_class(trained):
    model = ImageClassifier.from_config(trained.get_config())
    model.compile(metrics=[keras.metrics.F1Score(name="f1")])
    logs = model.fit(*tiny.bands(24), validation_split=0.5, batch_size=12, verbose=0).history
    assert np.shape(logs["val_f1"]) == (1, 3)


@pytest.mark.backends
def test_saved_whole(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images, labels = tiny.bands()
    np.testing.assert_array_equal(again.classify(images), trained.classify(images))
    assert again.class_names == NAMES and again.heads["labels"].label_smoothing == 0.1
    assert again.evaluate(images, labels, verbose=0) == trained.evaluate(images, labels, verbose=0)
    trained.save_to_preset(tmp_path / "preset")
    assert ImageClassifier.from_preset(tmp_path / "preset").classify(images[:2], top=1) == trained.classify(
        images[:2], top=1
    )


def test_export(trained, tmp_path, tensorflow_backend):
    import tensorflow as tf

    trained.export(tmp_path / "saved_model")
    images = tiny.bands(5)[0]
    served = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(served["probabilities"], trained.classify(images), rtol=1e-5)
    assert [name.decode() for name in served["names"].numpy()] == [row[0][0] for row in trained.classify(images, top=1)]


def test_other_names_for_the_classes(trained):
    images = tiny.bands(3)[0]
    best = trained.classify(images, ["l", "m", "r"], top=1)
    assert [row[0][0][0] for row in trained.classify(images, top=1)] == [row[0][0] for row in best]
    with pytest.raises(ValueError, match="ImageClassifier.classify: class_names must be 3 names"):
        trained.classify(images, ["l", "r"], top=1)


@pytest.mark.backends
def test_metrics_of_keras():
    """They see one-hot labels and probabilities, and leave out images whose class is not known."""
    model, (images, labels) = classifier(), tiny.bands(24)
    metrics = [keras.metrics.CategoricalAccuracy(name="right"), keras.metrics.TopKCategoricalAccuracy(2, name="top_2")]
    model.compile(metrics=metrics)
    some = np.where(np.arange(24) % 2, labels, -1)
    history = model.fit(images, labels, validation_data=(images, some), verbose=0).history
    logs = model.evaluate(images, some, batch_size=7, verbose=0, return_dict=True)
    order = np.argsort(-model.classify(images), axis=1)[1::2]
    np.testing.assert_allclose(logs["right"], np.mean(order[:, 0] == labels[1::2]), rtol=1e-6)
    np.testing.assert_allclose(logs["top_2"], np.mean((order[:, :2] == labels[1::2, None]).any(axis=1)), rtol=1e-6)
    assert logs["right"] == pytest.approx(logs["accuracy"]) and history["val_right"] == [pytest.approx(logs["right"])]


# === Learning from a teacher ===
@pytest.mark.backends
def test_the_loss_with_a_teacher_by_hand(trained):
    images, labels = tiny.bands(8)
    student = ImageClassifier(tiny.encoder(4), 3, seed=1)
    student.compile(teacher=trained, distillation_weight=0.25, temperature=2.0)
    logs = student.evaluate(images, labels, verbose=0, return_dict=True)
    inside = images / np.float32(127.5) - 1
    told = label_cross_entropy(np.eye(3)[labels], student(inside))
    taught = distillation(trained(inside), student(inside), 2.0)
    for name, weight, values in (("cross_entropy", 0.75, told), ("distillation", 0.25, taught)):
        np.testing.assert_allclose(logs[name], weight * ops.convert_to_numpy(values).mean(), rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], logs["cross_entropy"] + logs["distillation"], rtol=1e-5)


@pytest.mark.backends
def test_a_student_learns_without_right_labels(trained, tmp_path):
    images, labels = tiny.bands()
    student = ImageClassifier(tiny.encoder(4), 3, ema_momentum=0.9, seed=1)
    student.compile(keras.optimizers.Adam(1e-2), teacher=trained, distillation_weight=1.0)
    before = tiny.weights(trained)
    student.fit(images, np.full(len(images), -1), epochs=5, batch_size=16, verbose=0)
    assert np.mean(student.classify(images).argmax(axis=1) == labels) > 0.9
    assert not tiny.moved(before, trained)
    # The teacher is no part of the student, nor of its file.
    assert len(student.variables) < len(student.variables + trained.variables)
    with pytest.warns(
        UserWarning, match=r"compile\(teacher=...\) is not saved with ImageClassifier. To continue training with it"
    ):
        student.save(tmp_path / "student.keras")
    again = keras.saving.load_model(tmp_path / "student.keras")
    assert again.teacher_logits is None
    again.compile(again.optimizer, teacher=trained)
    assert int(again.optimizer.iterations) == 30


def test_a_plain_network_may_teach():
    student = classifier()
    student.compile(teacher=tiny.encoder(3))
    assert student.terms == ["cross_entropy", "distillation"]
    for teacher, error, message in (
        (tiny.encoder(4), ValueError, r"to 3 logits; it takes \(8, 8, 3\) and gives \(None, 4\)"),
        (tiny.encoder(3, shape=(4, 4, 3)), ValueError, r"from images \(8, 8, 3\) to 3 logits; it takes \(4, 4, 3\)"),
        ("teacher", TypeError, "the teacher must be a keras.Model; got 'teacher'"),
    ):
        with pytest.raises(error, match=message):
            student.compile(teacher=teacher)
    for wrong in ({"label_smoothing": 1.0}, {"distillation_weight": 2}, {"temperature": 0}):
        with pytest.raises(ValueError, match=f"ImageClassifier.compile: .*{next(iter(wrong))}"):
            student.compile(**wrong)


# === Backbones ===
def test_a_gans_discriminator_and_a_vaes_encoder():
    images, labels = tiny.bands(16)
    for backbone in (tiny.ac_gan().discriminator_features, tiny.vae().encoder):
        model = ImageClassifier(backbone, 3, frozen=True)
        model.compile()
        assert np.isfinite(model.fit(images, labels, verbose=0).history["loss"]).all()


@pytest.mark.slow
def test_keras_applications():
    network = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    model = ImageClassifier(network, 4, image_shape=(16, 16, 1), frozen=True)
    assert model.classify(np.zeros((2, 16, 16, 1), "uint8")).shape == (2, 4)
    assert len(model.phases()[0].variables) == 2


def test_a_backbone_of_keras_hub():
    hub = pytest.importorskip("keras_hub")
    network = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    model = ImageClassifier(network, 4)
    assert model.classify(np.zeros((2, 16, 16, 3), "uint8")).shape == (2, 4)


def test_from_image_shape():
    model = ImageClassifier.from_image_shape((28, 28, 1), class_names=["a", "b"])
    assert model.backbone.output["vector"].shape == (None, 128) and model.class_names == ["a", "b"]
    with pytest.raises(ValueError, match="ImageClassifier: size must be one of 'small', 'medium', 'large'; got 'tiny'"):
        ImageClassifier.from_image_shape((28, 28, 1), 2, size="tiny")


# === What every model owes ===
def plain():
    """Draws no random numbers."""
    model = classifier()
    model.compile(keras.optimizers.SGD(0.1), label_smoothing=0.1)
    return model


def random():
    model = classifier(dropout=0.2)
    model.compile(augmentation=[layers.RandomFlip(), layers.MixUp(), layers.CutMix()])
    return model


def data(count=48):
    images, labels = tiny.bands(count)
    return images, labels


def windowed():
    """Layers for which oneDNN cannot take a batch without rows."""
    images = keras.Input(tiny.SHAPE)
    x = layers.MaxPooling2D(2, 1)(layers.DepthwiseConv2D(3)(layers.Conv2D(4, 3, padding="same")(images)))
    x = layers.MaxPooling1D(2)(layers.Conv1D(3, 2)(layers.Reshape((25, 4))(x)))
    model = ImageClassifier(keras.Model(images, layers.Flatten()(x)), num_classes=tiny.CLASSES, seed=0)
    model.compile(keras.optimizers.SGD(0.1))
    return model


@pytest.mark.slow
def test_backends_agree():
    models.check_backends_agree(plain, data(), tolerance=1e-4)


@pytest.mark.slow
def test_resuming(tmp_path):
    models.check_resume(random, data(), tmp_path)


@pytest.mark.slow
def test_replicas(tensorflow_backend):
    models.check_replicas(windowed, data(41), tolerance=1e-5)


@pytest.mark.slow
def test_mixed_precision():
    models.check_mixed_precision(random, data(), "mixed_float16")


@pytest.mark.slow
def test_a_backbone_by_name(tmp_path):
    """It sees what the metric of the same name sees, and comes back from a file."""
    extractor = pytest.importorskip("kgen.metrics").FeatureExtractor.of("efficientnet_lite0")
    model = ImageClassifier("efficientnet_lite0", 3, image_shape=(224, 224, 3), frozen=True, seed=0)
    assert model.value_range == (-127 / 128, 1.0)
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), "uint8")
    inner = keras.Model(model.network.input, model.network.get_layer("labels_dropout").input)
    seen = ops.convert_to_numpy(inner(images / np.float32(127.5) - 1))
    np.testing.assert_allclose(seen, extractor.extract(images), rtol=1e-3, atol=1e-3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.classify(images), model.classify(images), rtol=1e-5)
    assert len(model.phases()[0].variables) == 2
    model.frozen = False
    assert len(model.phases()[0].variables) > 50
    small = ImageSegmenter("efficientnet_lite0", 2, filters=4, image_shape=(32, 32, 3))
    assert small.segment(np.zeros((1, 32, 32, 3), "uint8")).shape == (1, 32, 32)
