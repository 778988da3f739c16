import re

import keras
import numpy as np
import pytest

from kgen import networks
from kgen.metrics import FrechetDistance, ReconstructionError
from kgen.models import CycleGAN
from tests.checks.models import check_evaluation, check_mixed_precision, check_resume
from tests.models import tiny

SHAPE = (16, 16, 3)
RED, BLUE = (230, 20, 20), (20, 20, 230)


def squares(color, count=64, seed=0):
    """Squares of one colour on noisy grey, each somewhere else."""
    random = np.random.default_rng(seed)
    images = random.integers(108, 149, (count, *SHAPE)).astype("uint8")
    for image, (x, y) in zip(images, random.integers(1, 10, (count, 2))):
        image[y : y + 5, x : x + 5] = color
    return images


def model(**kwargs):
    generator = networks.restoration_network(3, filters=8, blocks=1)
    discriminator = networks.MultiscaleEncoder(SHAPE, 1, filters=16, feature_dim=16)
    return CycleGAN(SHAPE, generator, discriminator=discriminator, ema_momentum=0.9, seed=0, **kwargs)


def tiny_model():
    generator = networks.restoration_network(3, filters=2, blocks=1)
    return CycleGAN(SHAPE, generator, discriminator=tiny.encoder(1, shape=SHAPE), ema_momentum=0.9, seed=0)


def compiled(**kwargs):
    made = tiny_model()
    made.compile(keras.optimizers.SGD(3e-4), **kwargs)
    return made


def eager(**kwargs):
    made = tiny_model()
    made.compile(keras.optimizers.Adam(1e-3), run_eagerly=True, **kwargs)
    return made


def pairs(count=16):
    return squares(RED, count), squares(BLUE, count, seed=1)


@pytest.fixture(scope="module")
def trained():
    """After two steps: for what does not depend on what was learned."""
    keras.utils.set_random_seed(0)
    made = eager()
    made.fit(squares(RED, 16), squares(BLUE, 5), batch_size=8, verbose=0)
    return made


def colors_at_squares(images, given):
    """Mean colour where the squares of `given` are, of other images."""
    return images[in_squares(given)].mean(axis=0)


def in_squares(images):
    return images.max(axis=-1) > 200


# === Training ===
@pytest.mark.slow
def test_red_squares_become_blue_ones_where_they_are_and_back():
    keras.utils.set_random_seed(0)
    trained = model()
    trained.compile(
        {
            "discriminator": keras.optimizers.Adam(4e-3, beta_1=0.5),
            "generator": keras.optimizers.Adam(8e-3, beta_1=0.5),
        },
        cycle_weight=1.0,
        identity_weight=0.5,
    )
    logs = trained.fit(squares(RED, 96), squares(BLUE, 80, 1), batch_size=16, epochs=80, verbose=0).history
    assert set(logs) == {
        *("loss", "discriminator_loss", "discriminator_accuracy", "generator_loss", "adversarial", "cycle", "identity"),
    }
    red, blue = squares(RED, 20, seed=5), squares(BLUE, 20, seed=6)
    for inverse, given, wanted in ((False, red, BLUE), (True, blue, RED)):
        drawn = trained.translate(given, inverse=inverse, verbose=0)
        assert np.abs(colors_at_squares(drawn, given) - wanted).max() < 70, colors_at_squares(drawn, given)
        assert np.abs((drawn.astype(int) - given)[~in_squares(given)]).mean() < 20
    there = trained.translate(trained.translate(red), inverse=True)
    assert np.abs(there.astype(int) - red).mean() < 20


@pytest.mark.slow
@pytest.mark.backends
def test_a_second_fit_sees_its_own_second_set():
    made = model()
    made.compile(keras.optimizers.SGD(0.0))
    x, y = np.full((4, *SHAPE), 90, "uint8"), [np.full((3, *SHAPE), level, "uint8") for level in (20, 230)]
    fitted = [made.fit(x, each, batch_size=4, verbose=0).history["discriminator_loss"][-1] for each in y]
    evaluated = [made.evaluate(x, each, verbose=0, return_dict=True)["discriminator_loss"] for each in y]
    np.testing.assert_allclose(fitted, evaluated, rtol=1e-4)
    assert abs(fitted[0] - fitted[1]) > 1e-3


def test_what_metrics_compare(trained):
    x, y = ((images / 127.5 - 1.0).astype("float32") for images in pairs(2))
    batch = {"images": x, "others": y}
    real, generated = map(keras.ops.convert_to_numpy, trained.counterparts(batch, paired=False))
    np.testing.assert_array_equal(real, y)
    there = keras.ops.convert_to_numpy(trained(x))
    np.testing.assert_allclose(generated, there, atol=1e-5)
    real, generated = map(keras.ops.convert_to_numpy, trained.counterparts(batch, paired=True))
    np.testing.assert_array_equal(real, x)
    back = 2.0 * keras.ops.convert_to_numpy(trained.inverse_average(0.5 * there + 0.5)) - 1.0
    np.testing.assert_allclose(generated, back, atol=1e-5)


def test_metrics_in_validation_and_in_evaluate():
    made = eager(metrics=[FrechetDistance("pixels"), ReconstructionError()])
    logs = made.evaluate(*pairs(8), batch_size=8, verbose=0, return_dict=True)
    # It begins by changing nothing.
    assert logs["psnr"] > 40 and logs["frechet_distance_pixels"] > 1.0


def test_each_network_begins_with_weights_of_its_own():
    made = model()
    for one, other in (
        (made.generator, made.inverse_generator),
        (made.discriminator, made.inverse_discriminator),
    ):
        assert any(np.any(a != b) for a, b in zip(one.get_weights(), other.get_weights()))


@pytest.mark.slow
def test_resumes_to_the_bit(tmp_path):
    check_resume(eager, (squares(RED, 16), squares(BLUE, 5)), tmp_path)


@pytest.mark.slow
def test_validation_changes_nothing():
    check_evaluation(eager, (squares(RED, 16), squares(BLUE, 5)))


@pytest.mark.slow
def test_mixed_precision(tensorflow_backend):
    check_mixed_precision(compiled, pairs(), "mixed_float16", steps=4)


# === Images out ===
@pytest.mark.backends
def test_the_averages_draw_each_in_its_own_direction():
    made = model()
    # The last bias is what is added to all pixels: 0.1 of the range one way, 0.2 the other.
    for network, shift in (
        (made.average.network, 0.1),
        (made.inverse_average.network, 0.2),
        (made.generator, 0.3),
        (made.inverse_generator, 0.3),
    ):
        bias = network.get_layer("tail").bias
        bias.assign(np.full(bias.shape, shift))
    images = squares(BLUE, 2) // 2
    drawn = keras.ops.convert_to_numpy(made(images / np.float32(127.5) - 1.0))
    np.testing.assert_allclose(drawn, images / 127.5 - 1.0 + 0.2, atol=1e-5)
    for inverse, shift in ((False, 25.5), (True, 51.0)):
        np.testing.assert_allclose(made.translate(images, inverse=inverse).astype(int), images + shift, atol=0.6)


@pytest.mark.backends
def test_translates_one_or_many_of_any_size_and_range(trained):
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3)).astype("uint8")
    drawn = trained.translate(image)
    assert drawn.dtype == "uint8" and drawn.shape == image.shape
    np.testing.assert_array_equal(trained.translate(np.stack([image] * 3), batch_size=2)[2], drawn)
    np.testing.assert_allclose(trained.translate(image / 255.0).astype(int), drawn, atol=1)
    # What was repeated beyond the border has no say within.
    np.testing.assert_array_equal(trained.translate(image[:16, :24])[:8, :8], drawn[:8, :8])


@pytest.mark.backends
def test_the_range_of_one_call_is_not_that_of_the_next(trained):
    images = squares(RED, 2)
    unit, signed = (images / 255.0).astype("float32"), (images / 127.5 - 1.0).astype("float32")
    for inverse in (False, True):
        before = trained.translate(unit, inverse=inverse)
        np.testing.assert_allclose(trained.translate(signed, inverse=inverse).astype(int), before, atol=1)
        np.testing.assert_array_equal(trained.translate(unit, inverse=inverse), before)


@pytest.mark.backends
def test_save_and_load(trained, tmp_path):
    images = squares(RED, 3, seed=9)
    expected = [trained.translate(images, inverse=inverse) for inverse in (False, True)]
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    trained.save_to_preset(tmp_path / "preset")
    for loaded in (again, CycleGAN.from_preset(tmp_path / "preset")):
        for inverse in (False, True):
            np.testing.assert_array_equal(loaded.translate(images, inverse=inverse), expected[inverse])
    assert (again.objective.cycle_weight, again.objective.identity_weight, again.ema_momentum) == (2.0, 1.0, 0.9)
    assert type(again.objective.adversary.loss).__name__ == "LeastSquares"


@pytest.mark.slow
def test_export(trained, tmp_path, tensorflow_backend):
    import tensorflow as tf

    trained.export(tmp_path / "saved_model")
    serve = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    images = np.random.default_rng(0).integers(0, 256, (2, 18, 23, 3)).astype("uint8")
    served = serve(images=tf.constant(images))["images"].numpy()
    np.testing.assert_allclose(served.astype(int), trained.translate(images), atol=1)


def test_the_default_changes_nothing_before_training():
    images = squares(RED, 2)
    np.testing.assert_array_equal(CycleGAN(SHAPE, seed=0).translate(images), images)


# === What is wrong ===
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.fit(squares(RED)), "CycleGAN: others must be given; call fit(images, others)"),
        (lambda m: m.fit(squares(RED), squares(BLUE)[:, :8]), "others: images must have shape (N, 16, 16, 3)"),
        (lambda m: m.fit(squares(RED)[:, :8], squares(BLUE)), "images must have shape (N, 16, 16, 3)"),
        (lambda m: m.evaluate(squares(RED)), "others must be given"),
        (lambda m: m.compile(cycle_weight=-1), "cycle_weight must be a number of at least 0; got -1"),
        (lambda m: m.compile(loss="median"), "median"),
        (lambda m: m.translate(squares(RED)[..., :1]), "CycleGAN.translate: images must have shape (N, height"),
    ],
)
def test_what_is_wrong_says_so(call, message):
    made = model()
    made.compile()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(made)


def test_networks_that_do_not_fit():
    with pytest.raises(
        ValueError, match=re.escape("generator must keep the shape of an image, (16, 16, 3); it makes (32")
    ):
        CycleGAN(SHAPE, networks.restoration_network(3, scale=2, filters=2, blocks=1))
    with pytest.raises(TypeError, match="inverse_generator must be a keras.Model; got str"):
        CycleGAN(SHAPE, inverse_generator="none")
    with pytest.raises(ValueError, match="the discriminator takes images of shape"):
        CycleGAN(SHAPE, discriminator=networks.MultiscaleEncoder((32, 32, 3), 1, filters=8))


def test_says_that_it_has_not_been_trained():
    with pytest.warns(UserWarning, match="CycleGAN has not been trained: images hardly change"):
        model().translate(squares(RED, 1))


def test_is_silent_once_it_has_been_trained(trained, recwarn):
    trained.translate(squares(RED, 1))
    assert not [each for each in recwarn if "trained" in str(each.message)]
