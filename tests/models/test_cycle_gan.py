import re

import keras
import numpy as np
import pytest

from kgen import networks
from kgen.models import CycleGAN
from tests.checks.models import check_evaluation, check_mixed_precision, check_resume

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


def compiled(**kwargs):
    made = model()
    made.compile(keras.optimizers.SGD(3e-4), **kwargs)
    return made


def eager(**kwargs):
    made = model()
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
    """Mean colour where the squares of `given` are, of other pictures."""
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
        *("discriminator_loss", "discriminator_accuracy", "generator_loss", "adversarial", "cycle", "identity"),
    }
    red, blue = squares(RED, 20, seed=5), squares(BLUE, 20, seed=6)
    for inverse, given, wanted in ((False, red, BLUE), (True, blue, RED)):
        drawn = trained.translate(given, inverse=inverse, verbose=0)
        assert np.abs(colors_at_squares(drawn, given) - wanted).max() < 70, colors_at_squares(drawn, given)
        assert np.abs((drawn.astype(int) - given)[~in_squares(given)]).mean() < 20
    there = trained.translate(trained.translate(red), inverse=True)
    assert np.abs(there.astype(int) - red).mean() < 20


@pytest.mark.backends
def test_losses_by_hand():
    made = model()
    for network in (made.generator, made.inverse_generator, made.average.network, made.inverse_average.network):
        random = np.random.default_rng(len(network.name) + network.count_params())
        network.set_weights([0.05 * random.normal(size=w.shape) for w in network.get_weights()])
    made.compile(cycle_weight=3.0, identity_weight=2.0)
    x, y = pairs(4)
    logs = made.evaluate(x, y[:2], return_dict=True, verbose=0)
    x, y = ((a / 127.5 - 1.0).astype("float32") for a in (x, y[[0, 1, 0, 1]]))

    def by(network):
        return lambda images: 2.0 * keras.ops.convert_to_numpy(network(0.5 * images + 0.5)) - 1.0

    there, back = by(made.average), by(made.inverse_average)
    judge, inverse = (
        lambda images, network=network: keras.ops.convert_to_numpy(network(images))[:, 0]
        for network in (made.discriminator, made.inverse_discriminator)
    )
    cycle = np.abs(back(there(x)) - x).mean() + np.abs(there(back(y)) - y).mean()
    identity = np.abs(there(y) - y).mean() + np.abs(back(x) - x).mean()
    expected = {
        "cycle": 3.0 * cycle,
        "identity": 2.0 * identity,
        "adversarial": 0.5 * (np.mean((judge(there(x)) - 1) ** 2) + np.mean((inverse(back(y)) - 1) ** 2)),
    }
    real, fake = (judge(y), inverse(x)), (judge(there(x)), inverse(back(y)))
    expected["discriminator_loss"] = 0.5 * sum(np.mean((r - 1) ** 2) + np.mean(f**2) for r, f in zip(real, fake))
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, err_msg=name)
    assert cycle > 0.1 and identity > 0.1


def test_each_phase_moves_its_own_networks():
    made = eager(identity_weight=0)
    names = ("generator", "inverse_generator", "discriminator", "inverse_discriminator")
    before = {name: getattr(made, name).get_weights() for name in names}
    made.optimizer.optimizers[1].learning_rate = 0.0
    logs = made.fit(*pairs(), batch_size=8, verbose=0).history
    assert "identity" not in logs
    moved = {
        name: any(np.any(a != b) for a, b in zip(getattr(made, name).get_weights(), before[name])) for name in names
    }
    assert moved == {
        "generator": False,
        "inverse_generator": False,
        "discriminator": True,
        "inverse_discriminator": True,
    }


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


def test_validation_changes_nothing():
    check_evaluation(eager, (squares(RED, 16), squares(BLUE, 5)))


@pytest.mark.slow
def test_mixed_precision(tensorflow_backend):
    check_mixed_precision(compiled, pairs(), "mixed_float16", steps=4)


# === Pictures out ===
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
def test_save_and_load(trained, tmp_path):
    images = squares(RED, 3, seed=9)
    expected = [trained.translate(images, inverse=inverse) for inverse in (False, True)]
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    trained.save_to_preset(tmp_path / "preset")
    for loaded in (again, CycleGAN.from_preset(tmp_path / "preset")):
        for inverse in (False, True):
            np.testing.assert_array_equal(loaded.translate(images, inverse=inverse), expected[inverse])
    assert (again.cycle_weight, again.identity_weight, again.ema_momentum) == (2.0, 1.0, 0.9)
    assert type(again.objective.adversary.loss).__name__ == "LeastSquares"


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
        (lambda m: m.fit(squares(RED)), "CycleGAN: it learns from others; give them: fit(images, others)"),
        (lambda m: m.fit(squares(RED), squares(BLUE)[:, :8]), "others: images must have shape (N, 16, 16, 3)"),
        (lambda m: m.fit(squares(RED)[:, :8], squares(BLUE)), "images must have shape (N, 16, 16, 3)"),
        (lambda m: m.evaluate(squares(RED)), "it learns from others"),
        (lambda m: m.compile(cycle_weight=-1), "cycle_weight must be at least 0; got -1"),
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
        ValueError, match=re.escape("generator must make a picture of (16, 16, 3) of one; it makes (32")
    ):
        CycleGAN(SHAPE, networks.restoration_network(3, scale=2, filters=2, blocks=1))
    with pytest.raises(TypeError, match="inverse_generator must be a keras.Model; got str"):
        CycleGAN(SHAPE, inverse_generator="none")
    with pytest.raises(ValueError, match="the discriminator takes images of shape"):
        CycleGAN(SHAPE, discriminator=networks.MultiscaleEncoder((32, 32, 3), 1, filters=8))


def test_says_that_it_has_not_been_trained():
    with pytest.warns(UserWarning, match="CycleGAN has not been trained: pictures stay nearly as they are"):
        model().translate(squares(RED, 1))


def test_is_silent_once_it_has_been_trained(trained, recwarn):
    trained.translate(squares(RED, 1))
    assert not [each for each in recwarn if "trained" in str(each.message)]
