import json

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from kgen import progress
from kgen.metrics.feature_extractor import FeatureExtractor


def network(channels=3, size=None, pooled=False):
    inputs = keras.Input((size, size, channels))
    outputs = layers.Conv2D(5, 3, name="maps")(inputs)
    outputs = layers.Dropout(0.5)(layers.BatchNormalization()(outputs))
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(outputs) if pooled else outputs, name="small")


def make_images(count=4, size=12, channels=3):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, channels)).astype("uint8")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.backends
@pytest.mark.parametrize("pooled", [False, True])
def test_features_are_what_the_network_says(pooled):
    model, images = network(pooled=pooled), make_images()
    extractor = FeatureExtractor(model, value_range=(-1, 3))
    found = numpy(extractor(images))
    wanted = numpy(model(images / 255.0 * 4.0 - 1.0, training=False))
    np.testing.assert_allclose(found, wanted if pooled else wanted.mean((1, 2)), atol=1e-5)
    assert extractor.dim((12, 12, 3)) == 5 and extractor.name == "small" and found.dtype == "float32"


@pytest.mark.backends
def test_extract_equals_one_batch_whatever_the_batch_size():
    extractor = FeatureExtractor(network(), image_size=(8, 9))
    images = make_images(11)
    wanted = numpy(extractor(images))
    for batch_size in (1, 4, 64):
        found = extractor.extract(images, batch_size)
        assert isinstance(found, np.ndarray) and found.dtype == "float32"
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(extractor.extract(images.astype("float32")), wanted, atol=1e-5)


@pytest.mark.backends
def test_extract_takes_images_of_one_size_after_another():
    extractor = FeatureExtractor(network(), image_size=8)
    for size in (12, 10, 8, 12):
        images = make_images(size=size)
        np.testing.assert_allclose(extractor.extract(images), numpy(extractor(images)), atol=1e-5)


@pytest.mark.backends
def test_extract_sees_the_weights_as_they_are_now():
    model = network()
    extractor = FeatureExtractor(model)
    before = extractor.extract(make_images())
    model.get_layer("maps").bias.assign([1.0] * 5)
    np.testing.assert_allclose(extractor.extract(make_images()), before + 1.0 / np.sqrt(1.001), atol=1e-4)


@pytest.mark.backends
def test_resizes_as_clean_fid_does():
    """In float with antialiasing, cut off at the ends of the range, not rounded."""
    extractor = FeatureExtractor(layers.Flatten(), image_size=(18, 15), value_range=(0, 255))
    board = np.kron(np.indices((6, 6)).sum(0) % 2 * 255, np.ones((2, 2))).astype("uint8")
    wanted = np.asarray(Image.fromarray(board.astype("float32")).resize((15, 18), Image.Resampling.BICUBIC))
    assert wanted.max() > 255 and (wanted % 1).any()
    np.testing.assert_allclose(numpy(extractor(board[None, ..., None]))[0], wanted.clip(0, 255).ravel(), atol=1e-3)


@pytest.mark.backends
def test_grey_is_repeated_for_a_network_of_colour():
    extractor = FeatureExtractor(network())
    grey = make_images(channels=1)
    np.testing.assert_allclose(numpy(extractor(grey)), numpy(extractor(np.repeat(grey, 3, axis=-1))), atol=1e-5)
    assert extractor.dim((12, 12, 1)) == 5


def test_colour_is_refused_by_a_network_of_grey():
    extractor = FeatureExtractor(network(channels=1))
    assert extractor(make_images(channels=1)).shape == (4, 5)
    for use in (extractor, extractor.extract, lambda images: extractor.dim(images.shape[1:])):
        with pytest.raises(ValueError, match="takes images of 1 channels; got shape"):
            use(make_images())
    with pytest.raises(ValueError, match="takes images of 3 channels, or of 1 channel that is repeated; got shape"):
        FeatureExtractor(network())(make_images(channels=4))


@pytest.mark.backends
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_image_has_broken_features_and_the_others_do_not(bad):
    inputs = keras.Input((8, 8, 3))
    relu6 = keras.Model(inputs, layers.ReLU(max_value=6.0)(layers.Conv2D(4, 3)(inputs)))
    images = make_images(3).astype("float32")
    images[1, 2, 3, 0] = bad
    extractor = FeatureExtractor(relu6, image_size=8, maps=relu6)
    found = [extractor.extract(images), numpy(extractor(images)), numpy(extractor.feature_maps(images)[0]).mean((1, 2))]
    for features in found:
        np.testing.assert_array_equal(np.isnan(features), [[False] * 4, [True] * 4, [False] * 4])


@pytest.mark.backends
def test_feature_maps():
    inputs = keras.Input((8, 8, 3))
    first = layers.Conv2D(4, 3)(inputs)
    second = layers.Conv2D(6, 3, strides=2)(first)
    extractor = FeatureExtractor(
        keras.Model(inputs, second), image_size=8, value_range=(0, 1), maps=keras.Model(inputs, [first, second])
    )
    maps = extractor.feature_maps(make_images())
    assert [m.shape for m in maps] == [(4, 6, 6, 4), (4, 2, 2, 6)]
    np.testing.assert_allclose(numpy(maps[1]).mean((1, 2)), numpy(extractor(make_images())), atol=1e-5)
    with pytest.raises(ValueError, match="small has no feature maps"):
        FeatureExtractor(network()).feature_maps(make_images())


def test_gradients_flow_to_the_images(tensorflow_backend):
    import tensorflow as tf

    images = tf.constant(make_images(), "float32")
    extractor = FeatureExtractor(network(), image_size=16)

    @tf.function(jit_compile=True)
    def gradient(images):
        return tf.gradients(tf.reduce_sum(extractor(images) ** 2), images)[0]

    found = gradient(images).numpy()
    assert np.isfinite(found).all() and (np.abs(found).max((1, 2, 3)) > 0).all()


def test_images_of_unknown_size_in_a_graph(tensorflow_backend):
    import tensorflow as tf

    specification = [tf.TensorSpec((None, None, None, 3))]
    with pytest.raises(ValueError, match="their height and width must be known"):
        tf.function(FeatureExtractor(network(), image_size=8).__call__, specification).get_concrete_function()
    as_they_come = tf.function(FeatureExtractor(network()).__call__, specification)
    assert as_they_come(tf.constant(make_images(), "float32")).shape == (4, 5)


@pytest.mark.backends
def test_pixels():
    extractor = FeatureExtractor.of("pixels")
    for size in (4, 6):
        images = make_images(size=size)
        np.testing.assert_allclose(extractor.extract(images), images.reshape(4, -1) / 255.0, atol=1e-6)
        assert extractor.dim((size, size, 3)) == size * size * 3
    assert extractor.spec == extractor.name == "pixels"
    with pytest.raises(ValueError, match="pixels needs images of known height and width"):
        extractor.dim((None, 4, 3))


@pytest.mark.backends
def test_a_network_that_was_never_built():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__(name="subclassed")
            self.convolution = layers.Conv2D(7, 3)

        def call(self, images):
            return self.convolution(images)

    for make in (Subclassed, lambda: layers.Conv2D(7, 3), lambda: keras.Sequential([layers.Conv2D(7, 3)])):
        extractor = FeatureExtractor.of(make())
        found = extractor.extract(make_images())
        np.testing.assert_allclose(found, numpy(extractor(make_images())), atol=1e-5)
        extractor = FeatureExtractor.of(make())
        assert extractor.dim((12, 12, 3)) == extractor.dim((12, 12, 3)) == 7


def test_of():
    model = network()
    extractor = FeatureExtractor.of(model)
    assert extractor.network is model and extractor.value_range == (-1.0, 1.0) and extractor.spec is None
    assert FeatureExtractor.of(extractor) is extractor and FeatureExtractor.of(None) is None
    assert FeatureExtractor.of("pixels") is FeatureExtractor.of("pixels")
    with pytest.raises(ValueError, match="unknown name 'fid'; choose from efficientnet_lite0, .* pixels"):
        FeatureExtractor.of("fid")
    for wrong in (3, ["pixels"], np.zeros(3), lambda images: images):
        with pytest.raises(TypeError, match=f"expected a name, .*; got {type(wrong).__name__}"):
            FeatureExtractor.of(wrong)


@pytest.mark.backends
def test_key_tells_extractors_apart():
    model = network(pooled=True)
    key = FeatureExtractor(model, image_size=8).key
    assert json.loads(json.dumps(key)) == key == FeatureExtractor(model, image_size=(8, 8)).key
    options = [
        {"name": "other"},
        {"image_size": 9},
        {"image_size": None},
        {"value_range": (0, 1)},
        {"interpolation": "bilinear"},
    ]
    for option in options:
        assert FeatureExtractor(model, **{"image_size": 8, **option}).key != key
    extractor = FeatureExtractor(model, image_size=8)
    assert extractor.key == key
    weights = model.get_weights()
    weights[0][0, 0, 0, 0] += 1e-3
    model.set_weights(weights)
    assert extractor.key != key


def test_a_model_does_not_track_it():
    class Metric(keras.metrics.Mean):
        def __init__(self):
            super().__init__()
            self.feature_extractor = FeatureExtractor(network())

    metric = Metric()
    assert len(metric.variables) == 2
    holder = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    holder.feature_extractor = metric.feature_extractor
    assert len(holder.weights) == 2


@pytest.mark.parametrize("verbose, shown", [(0, False), (1, True), ("auto", True)])
def test_progress_on_long_work(capsys, monkeypatch, verbose, shown):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    FeatureExtractor.of("pixels").extract(make_images(9, size=2), batch_size=1, verbose=verbose)
    assert ("9/9" in capsys.readouterr().out) == shown
    monkeypatch.setattr(progress, "_PATIENCE", 1e9)
    FeatureExtractor.of("pixels").extract(make_images(3, size=2), batch_size=1)
    assert not capsys.readouterr().out


def test_images_at_the_door():
    extractor = FeatureExtractor(network())
    for use in (extractor, extractor.extract):
        with pytest.raises(ValueError, match=r"must be \(batch, height, width, channels\); got shape \(12, 12, 3\)"):
            use(make_images()[0])
        with pytest.raises(ValueError, match=r"must not be empty; got shape \(0, 12, 12, 3\)"):
            use(make_images()[:0])
    with pytest.raises(ValueError, match="got list"):
        extractor.extract([1, 2])
    for batch_size in (0, 2.0, True):
        with pytest.raises(ValueError, match="FeatureExtractor.extract: batch_size must be an integer of at least 1"):
            extractor.extract(make_images(), batch_size)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_size": 0}, "image_size must be"),
        ({"image_size": (8, 8, 3)}, "image_size must be"),
        ({"image_size": 8.0}, "image_size must be"),
        ({"value_range": (1, -1)}, "value_range must be"),
        ({"value_range": 1}, "value_range must be"),
        ({"interpolation": "nearest"}, "interpolation must be one of"),
    ],
)
def test_options_at_the_door(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(network(), **options)


def test_networks_at_the_door():
    with pytest.raises(TypeError, match="network must be a Keras model or layer; got function"):
        FeatureExtractor(lambda x: x)
    with pytest.raises(TypeError, match="maps must be a Keras model or layer; got list"):
        FeatureExtractor(network(), maps=[])
    image, text = keras.Input((8, 8, 3)), keras.Input((5,))
    with pytest.raises(ValueError, match="only images .*channels\\); it takes"):
        FeatureExtractor(keras.Model([image, text], [layers.Flatten()(image), layers.Flatten()(text)]))
    with pytest.raises(ValueError, match="only images .*channels\\); it takes"):
        FeatureExtractor(keras.Model(text, layers.Flatten()(text)))
    tokens = layers.Reshape((64, 3))(image)
    with pytest.raises(ValueError, match=r"must give features .*; got \(4, 64, 3\)"):
        FeatureExtractor(keras.Model(image, tokens), image_size=8)(make_images())
