import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers.diff_augment import TRANSFORMATIONS, DiffAugment
from tests.checks.layers import check_layer

# Those of two images of 4x5 pixels that change everything, and keep every pixel apart.
BY_HAND = {
    "brightness": np.float32([0.5, -0.25]),
    "saturation": np.float32([0.0, 2.0]),
    "contrast": np.float32([0.5, 1.5]),
    "translation": np.int32([[1, -2], [-1, 0]]),
    "cutout": np.int32([[-1, 3], [2, 1]]),
}


def noise_images(batch=2, height=4, width=5, channels=3, dtype="float32"):
    return np.random.default_rng(0).uniform(-1, 1, (batch, height, width, channels)).astype(dtype)


def applied(images, parameters, probability=None, **arguments):
    return ops.convert_to_numpy(DiffAugment(**arguments).apply(ops.convert_to_tensor(images), parameters, probability))


def in_numpy(images, parameters, cut=(2, 3)):
    """The same by loops, in float64."""
    images = images.astype("float64")
    for i in range(len(images)):
        x = images[i] + parameters["brightness"][i]
        grey = x.mean(axis=-1, keepdims=True)
        x = grey + parameters["saturation"][i] * (x - grey)
        x = x.mean() + parameters["contrast"][i] * (x - x.mean())
        (down, right), (top, left) = parameters["translation"][i], parameters["cutout"][i]
        moved = np.zeros_like(x)
        height, width, _ = x.shape
        for row, column in np.ndindex(height, width):
            inside = 0 <= row - down < height and 0 <= column - right < width
            erased = top <= row < top + cut[0] and left <= column < left + cut[1]
            if inside and not erased:
                moved[row, column] = x[row - down, column - right]
        images[i] = moved
    return images


@pytest.mark.backends
def test_layer():
    inputs = {"images": (3, 8, 8, 3)}
    check_layer(DiffAugment, {"seed": 1}, inputs, (3, 8, 8, 3), call_kwargs={"training": True}, stochastic=True)
    check_layer(DiffAugment, {"policy": ("cutout",), "strength": 0.5}, inputs, (3, 8, 8, 3))


@pytest.mark.backends
def test_color_by_hand():
    images = np.float32([[[[0.0, 0.3], [0.6, 0.1]]]])
    np.testing.assert_allclose(
        applied(images, {"brightness": np.float32([0.5])}), [[[[0.5, 0.8], [1.1, 0.6]]]], atol=1e-6
    )
    np.testing.assert_allclose(
        applied(images, {"saturation": np.float32([2.0])}), [[[[-0.15, 0.45], [0.85, -0.15]]]], atol=1e-6
    )
    np.testing.assert_allclose(
        applied(images, {"contrast": np.float32([0.5])}), [[[[0.125, 0.275], [0.425, 0.175]]]], atol=1e-6
    )


@pytest.mark.backends
def test_translation_by_hand():
    image = np.arange(1, 7, dtype="float32").reshape(1, 2, 3, 1)
    for shift, expected in {
        (0, 1): [[0, 1, 2], [0, 4, 5]],
        (1, 0): [[0, 0, 0], [1, 2, 3]],
        (-1, -2): [[6, 0, 0], [0, 0, 0]],
        (2, 0): [[0, 0, 0], [0, 0, 0]],
        (0, 0): [[1, 2, 3], [4, 5, 6]],
    }.items():
        moved = applied(image, {"translation": np.int32([shift])})
        np.testing.assert_array_equal(moved[0, :, :, 0], expected)


@pytest.mark.backends
def test_cutout_by_hand():
    image = np.ones((1, 4, 6, 1), "float32")
    cut = applied(image, {"cutout": np.int32([[1, 2]])})[0, :, :, 0]  # half of both sides: 2 x 3
    np.testing.assert_array_equal(cut, [[1] * 6, [1, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1], [1] * 6])
    cut = applied(image, {"cutout": np.int32([[3, -2]])})[0, :, :, 0]  # partly outside
    np.testing.assert_array_equal(cut, [[1] * 6, [1] * 6, [1] * 6, [0, 1, 1, 1, 1, 1]])
    cut = applied(image, {"cutout": np.int32([[1, 2]])}, strength=0.5)[0, :, :, 0]  # a quarter: 1 x 2
    np.testing.assert_array_equal(cut, [[1] * 6, [1, 1, 0, 0, 1, 1], [1] * 6, [1] * 6])


@pytest.mark.backends
def test_all_together_equal_loops_in_numpy():
    images = noise_images()
    np.testing.assert_allclose(applied(images, BY_HAND), in_numpy(images, BY_HAND), atol=1e-5)


@pytest.mark.backends
def test_probability_decides_for_each_image_and_transformation():
    images = noise_images()
    # The first image gets what stands at even places, the second what stands at odd ones.
    even = np.arange(5) % 2 == 0
    chance = np.float32([np.where(even, 0.2, 0.7), np.where(even, 0.7, 0.2)])
    some = {name: value.copy() for name, value in BY_HAND.items()}
    nothing = {"brightness": 0, "saturation": 1, "contrast": 1, "translation": 0, "cutout": 9}
    for place, name in enumerate(TRANSFORMATIONS):
        some[name][1 if even[place] else 0] = nothing[name]
    parameters = {**BY_HAND, "chance": chance}
    np.testing.assert_allclose(applied(images, parameters, probability=0.5), in_numpy(images, some), atol=1e-5)
    np.testing.assert_array_equal(applied(images, parameters, probability=0.0), images)  # not one bit
    np.testing.assert_array_equal(applied(images, parameters, probability=1.0), applied(images, BY_HAND))


@pytest.mark.backends
def test_gradient_against_differences():
    """Of sum(weights * augmented), which is linear in the images but for rounding, through everything at once."""
    images, weights = noise_images(), np.random.default_rng(1).normal(size=(2, 4, 5, 3))
    expected = np.zeros(images.shape)
    for index in np.ndindex(images.shape):
        step = np.zeros(images.shape)
        step[index] = 1e-4
        ends = [np.sum(weights * in_numpy(images + sign * step, BY_HAND)) for sign in (1, -1)]
        expected[index] = (ends[0] - ends[1]) / 2e-4
    np.testing.assert_allclose(slopes(images, weights.astype("float32")), expected, atol=1e-4)
    assert np.count_nonzero(np.abs(expected) < 1e-9) == 0  # even erased pixels count in the image's mean


def slopes(images, weights):
    """Gradient of sum(weights * apply(images, BY_HAND)) by the images."""
    layer = DiffAugment()

    def total(x):
        return ops.sum(weights * layer.apply(x, BY_HAND))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = total(x)
        return tf.convert_to_tensor(tape.gradient(value, x)).numpy()
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(total)(images))
    import torch

    x = torch.tensor(images, requires_grad=True)
    weights = ops.convert_to_tensor(weights)
    return torch.autograd.grad(total(x), x)[0].numpy()


@pytest.mark.backends
def test_parameters_have_the_published_ranges():
    layer = DiffAugment(seed=0)
    drawn = {name: ops.convert_to_numpy(value) for name, value in layer.parameters(20000, 32, 47).items()}
    for name, low, high in (("brightness", -0.5, 0.5), ("saturation", 0, 2), ("contrast", 0.5, 1.5)):
        width = high - low
        assert low <= drawn[name].min() < low + 0.001 * width and high - 0.001 * width < drawn[name].max() <= high
        np.testing.assert_allclose(drawn[name].mean(), (low + high) / 2, atol=0.01 * width)
        np.testing.assert_allclose(drawn[name].std(), width / 12**0.5, rtol=0.02)
    for axis, furthest in enumerate((4, 6)):
        shifts, counts = np.unique(drawn["translation"][:, axis], return_counts=True)
        np.testing.assert_array_equal(shifts, np.arange(-furthest, furthest + 1))
        np.testing.assert_allclose(counts, 20000 / len(shifts), rtol=0.15)
    # 16 of 32 pixels centred on one of 33 lines; 24 of 47 centred on one of 48 lines.
    for axis, (length, lines) in enumerate(((16, 33), (24, 48))):
        corners, counts = np.unique(drawn["cutout"][:, axis], return_counts=True)
        np.testing.assert_array_equal(corners + length // 2, np.arange(lines))
        np.testing.assert_allclose(counts, 20000 / lines, rtol=0.25)
    assert drawn["chance"].shape == (20000, 5)
    np.testing.assert_allclose(np.mean(drawn["chance"] < 0.3, axis=0), 0.3, atol=0.015)
    columns = [drawn["brightness"], drawn["saturation"], drawn["contrast"], *drawn["translation"].T,
               *drawn["cutout"].T, *drawn["chance"].T]  # fmt: skip
    assert np.abs(np.corrcoef(columns) - np.eye(12)).max() < 0.04  # drawn apart, images and numbers alike


@pytest.mark.backends
def test_strength_narrows_the_ranges_down_to_nothing():
    drawn = {
        name: ops.convert_to_numpy(value)
        for name, value in DiffAugment(strength=0.5, seed=0).parameters(2000, 32, 32).items()
    }
    for name, low, high in (("brightness", -0.25, 0.25), ("saturation", 0.5, 1.5), ("contrast", 0.75, 1.25)):
        np.testing.assert_allclose([drawn[name].min(), drawn[name].max()], [low, high], atol=0.01)
    assert drawn["translation"].min() == -2 and drawn["translation"].max() == 2
    images = noise_images(3)
    unchanged = DiffAugment(strength=0.0, seed=0)(images, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(unchanged), images)


@pytest.mark.backends
def test_policy_chooses():
    assert set(DiffAugment("cutout").parameters(2, 8, 8)) == {"cutout", "chance"}
    color = DiffAugment(["color"]).parameters(2, 8, 8)
    assert set(color) == {"brightness", "saturation", "contrast", "chance"}
    images = noise_images(4, 8, 8)
    moved = ops.convert_to_numpy(DiffAugment("translation", seed=0)(images, training=True))
    assert np.abs(moved - images).max() > 0.1 and set(moved[moved != 0]) <= set(images.ravel())


@pytest.mark.backends
def test_happens_in_training_only_and_anew_in_every_call():
    layer, images = DiffAugment(seed=3), noise_images(4, 8, 8)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(images)), images)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(images, training=False)), images)
    first = ops.convert_to_numpy(layer(images, training=True))
    assert np.abs(first - ops.convert_to_numpy(layer(images, training=True))).max() > 0.1
    np.testing.assert_array_equal(ops.convert_to_numpy(DiffAugment(seed=3)(images, training=True)), first)
    assert not np.allclose(first[0] - images[0], first[1] - images[1])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(images, probability=0.0, training=True)), images)


@pytest.mark.backends
def test_call_is_apply_of_parameters_and_draws_can_be_shared():
    images = noise_images(4, 8, 8)
    called = ops.convert_to_numpy(DiffAugment(seed=3)(images, probability=0.6, training=True))
    layer = DiffAugment(seed=3)
    drawn = layer.parameters(4, 8, 8)
    np.testing.assert_array_equal(applied(images, drawn, 0.6), called)
    # Given alike, an image of zeros and one of ones lose the same pixels.
    drawn = {name: drawn[name] for name in ("translation", "cutout")}
    ones = [applied(np.full_like(images, value), drawn) for value in (1.0, 2.0)]
    np.testing.assert_array_equal(2 * ones[0], ones[1])
    again, other = (layer.parameters(4, 8, 8, seed=seed)["brightness"] for seed in (5, 6))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again), ops.convert_to_numpy(layer.parameters(4, 8, 8, seed=5)["brightness"])
    )
    assert np.any(ops.convert_to_numpy(again) != ops.convert_to_numpy(other))


@pytest.mark.backends
def test_grey_images_have_no_saturation():
    grey = noise_images(2, channels=1)
    np.testing.assert_array_equal(applied(grey, {"saturation": np.float32([0.0, 2.0])}), grey)
    assert ops.shape(DiffAugment(seed=0)(grey, training=True)) == grey.shape


@pytest.mark.backends
def test_draws_from_the_generator_it_is_given():
    generator = keras.random.SeedGenerator(5)
    layer, images = DiffAugment(seed=generator), noise_images(2, 8, 8)
    before = ops.convert_to_numpy(generator.state.value).copy()
    first = ops.convert_to_numpy(layer(images, training=True))
    assert np.any(ops.convert_to_numpy(generator.state.value) != before)
    again = DiffAugment.from_config(layer.get_config())
    assert isinstance(again.seed, keras.random.SeedGenerator) and again.seed is not generator
    np.testing.assert_array_equal(ops.convert_to_numpy(again(images, training=True)), first)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_another_probability_is_no_new_trace(tensorflow_backend, jit_compile):
    import tensorflow as tf

    layer, images = DiffAugment(seed=0), tf.constant(noise_images(4, 8, 8))

    @tf.function(jit_compile=jit_compile)
    def augment(x, probability):
        with tf.GradientTape() as tape:
            tape.watch(x)
            augmented = layer(x, probability, training=True)
        return augmented, tape.gradient(augmented, x)

    changed = []
    for probability in (0.0, 0.5, 1.0):
        augmented, gradient = augment(images, tf.constant(probability))
        assert np.all(np.isfinite(gradient))
        changed.append(np.count_nonzero(np.any(augmented.numpy() != images.numpy(), axis=(1, 2, 3))))
    assert changed[0] == 0 and changed[2] == 4
    assert augment.experimental_get_tracing_count() == 1


def test_takes_any_batch_in_one_trace_and_probability_from_a_variable(tensorflow_backend):
    import tensorflow as tf

    layer, probability = DiffAugment(seed=0), keras.Variable(0.0, dtype="float32", trainable=False)

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    def augment(x):
        return layer(x, probability, training=True)

    np.testing.assert_array_equal(augment(noise_images(3, 8, 8)), noise_images(3, 8, 8))
    probability.assign(1.0)
    assert np.abs(augment(noise_images(5, 8, 8)).numpy() - noise_images(5, 8, 8)).max() > 0.1
    assert augment.experimental_get_tracing_count() == 1


def test_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"policy may only contain 'color', 'translation', 'cutout'; got \['flip'\]"):
        DiffAugment(policy=("color", "flip"))
    with pytest.raises(ValueError, match="strength must be from 0 to 1; got 2"):
        DiffAugment(strength=2)
    with pytest.raises(TypeError, match="seed must be None, an int or a SeedGenerator; got 'seven'"):
        DiffAugment(seed="seven")
    with pytest.raises(ValueError, match=r"images must be float .* got uint8 of shape \(2, 4, 5, 3\)"):
        DiffAugment().apply(ops.zeros((2, 4, 5, 3), dtype="uint8"), {})
    with pytest.raises(ValueError, match=r"got float32 of shape \(4, 5, 3\)"):
        DiffAugment()(noise_images()[0], training=True)
