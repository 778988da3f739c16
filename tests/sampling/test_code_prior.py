import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kgen.sampling.code_prior import CodePrior, EarlierWords
from kgen.training import SeedGenerator, image_noise


def array(tensor):
    return ops.convert_to_numpy(ops.stop_gradient(tensor))


def prior_of(probabilities, momentum=0.5):
    """A prior that knows these probabilities `(words, values)`, whatever the caption."""
    words, values = np.shape(probabilities)
    prior = CodePrior(words, values, pooled_dim=3, ema_momentum=momentum)
    for network in (prior.network, prior.average.network):
        network.layers[-1].bias.assign(np.log(probabilities))
    return prior


PROBABILITIES = np.array([[0.1, 0.6, 0.3], [0.98, 0.01, 0.01]])


def test_draws_have_the_probabilities_of_the_prior():
    prior, count = prior_of(PROBABILITIES), 4000
    noise = image_noise(np.full(count, 7, "int32"), np.arange(count, dtype="int32"), 6)
    condition = {"pooled": ops.zeros((count, 3))}
    codes = array(prior.draw(noise, None, condition))
    assert set(np.unique(codes)) == {0.0, 1.0} and codes.shape == (count, 6)
    by_word = codes.reshape((count, 2, 3))
    np.testing.assert_array_equal(by_word.sum(axis=2), 1.0)
    np.testing.assert_allclose(by_word.mean(axis=0), PROBABILITIES, atol=0.03)
    # The two words are independent.
    together = (by_word[:, 0, 1] * by_word[:, 1, 0]).mean()
    np.testing.assert_allclose(together, 0.6 * 0.98, atol=0.03)
    # The same noise, alone or among others, is the same code.
    alone = array(prior.draw(noise[5:6], None, {"pooled": ops.zeros((1, 3))}))
    np.testing.assert_array_equal(alone[0], codes[5])


@pytest.mark.backends
def test_noise_of_any_size_is_a_code():
    noise = ops.convert_to_tensor(np.array([[-99.0, 99.0, 0.0, 0.0, 0.0, 0.0]], "float32"))
    code = array(prior_of(PROBABILITIES).draw(noise, None, {"pooled": ops.zeros((1, 3))}))
    np.testing.assert_array_equal(code, [[0, 1, 0, 1, 0, 0]])


@pytest.mark.backends
def test_divergence_and_density_by_hand():
    prior, posterior = prior_of(PROBABILITIES), np.array([[0.2, 0.2, 0.6], [0.5, 0.25, 0.25]])
    logits = ops.convert_to_tensor(np.log(posterior).reshape((1, 6)).astype("float32"))
    condition, code = {"pooled": ops.zeros((1, 3))}, ops.convert_to_tensor(np.array([[0, 0, 1, 1, 0, 0]], "float32"))
    expected = np.sum(posterior * np.log(posterior / PROBABILITIES), axis=1)
    for training in (True, False):
        np.testing.assert_allclose(array(prior.divergence(logits, code, condition, training))[0], expected, rtol=1e-4)
    np.testing.assert_allclose(array(prior.log_density(code, condition)), [np.log(0.3 * 0.98)], rtol=1e-4)


@pytest.mark.backends
def test_a_word_is_told_of_those_before_it():
    layer, codes = EarlierWords(2), np.eye(3, dtype="float32")[[[0, 2, 1]]]
    told = array(layer(codes))[0]
    kernel = ops.convert_to_numpy(layer.kernel)
    np.testing.assert_allclose(told[0], 0.0)
    np.testing.assert_allclose(told[1], kernel[0, 0, 1], rtol=1e-5)
    np.testing.assert_allclose(told[2], kernel[0, 0, 2] + kernel[1, 2, 2], rtol=1e-5)


@pytest.mark.backends
def test_what_words_say_together_is_drawn_whole():
    keras.utils.set_random_seed(0)
    prior = CodePrior(3, 2, pooled_dim=2, ema_momentum=0.0)
    # Each word alone is as often one value as the other; a caption says whether the last two agree with the first.
    first, agree = np.arange(64) % 2, np.arange(64) // 2 % 2
    numbers = np.stack([first, first ^ agree, first ^ agree], axis=1)
    codes, pooled = np.eye(2, dtype="float32")[numbers], np.eye(2, dtype="float32")[agree]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    prior.network.compile(keras.optimizers.Adam(1e-2), loss=loss)
    prior.network.fit({"codes": codes, "pooled": pooled}, codes, epochs=60, verbose=0)
    prior.average.network.set_weights(prior.network.get_weights())
    noise = image_noise(np.full(64, 3, "int32"), np.arange(64, dtype="int32"), 6)
    drawn = array(prior.draw(noise, None, {"pooled": ops.convert_to_tensor(pooled)}))
    drawn = drawn.reshape((64, 3, 2)).argmax(axis=2)
    np.testing.assert_array_equal(drawn[:, 1:], (drawn[:, :1] ^ agree[:, None]).repeat(2, axis=1))
    assert 0.3 < drawn[:, 0].mean() < 0.7


def test_each_word_drawn_is_the_likeliest_with_its_noise():
    prior, random = CodePrior(4, 3, pooled_dim=5), np.random.default_rng(0)
    network = prior.average.network
    # Of one order of magnitude throughout, so that each counts.
    scales = [weight.shape[-2] ** -0.5 if weight.ndim > 1 else 1.0 for weight in network.get_weights()]
    network.set_weights([s * random.normal(size=w.shape) for s, w in zip(scales, network.get_weights())])
    condition = {"pooled": ops.convert_to_tensor(random.normal(size=(50, 5)).astype("float32"))}
    noise = random.normal(size=(50, 12)).astype("float32")
    drawn = prior.draw(ops.convert_to_tensor(noise), None, condition)
    # What `log_probabilities` says of all words at once, each given those that were drawn before it.
    scores = array(prior.log_probabilities(drawn, condition)) + stats.gumbel_r.ppf(
        stats.norm.cdf(noise.astype("float64"))
    ).reshape((50, 4, 3))
    np.testing.assert_array_equal(scores.argmax(axis=2), array(drawn).reshape((50, 4, 3)).argmax(axis=2))
    assert len(np.unique(array(drawn), axis=0)) > 10


@pytest.mark.backends
def test_samples_are_whole_codes_of_the_posterior():
    prior = CodePrior(1, 3, pooled_dim=2)
    logits = ops.repeat(ops.convert_to_tensor(np.log([[0.2, 0.5, 0.3]]).astype("float32")), 3000, axis=0)
    codes = array(prior.sample(logits, SeedGenerator(0)))
    np.testing.assert_allclose(codes.max(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(codes.mean(axis=0), [0.2, 0.5, 0.3], atol=0.03)


def test_the_gradient_goes_through_the_draw():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a tape is TensorFlow's")
    prior, logits = CodePrior(1, 3, pooled_dim=2), tf.Variable(tf.zeros((64, 3)))
    with tf.GradientTape() as tape:
        first = tf.reduce_mean(prior.sample(logits, SeedGenerator(0))[:, 0])
    slope = tape.gradient(first, logits).numpy().sum(axis=0)
    assert slope[0] > 0.1 and slope[1] < 0 and slope[2] < 0


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="CodePrior: values must be an integer of at least 2"):
        CodePrior(4, 1, pooled_dim=3)
    with pytest.raises(ValueError, match="CodePrior: words must be an integer of at least 1"):
        CodePrior(0, 4, pooled_dim=3)


def test_config():
    prior = CodePrior.from_config(CodePrior(4, 3, pooled_dim=5, ema_momentum=0.9).get_config())
    assert (prior.words, prior.values, prior.pooled_dim, prior.ema_momentum) == (4, 3, 5, 0.9)


def test_of_what_a_user_gives():
    prior = CodePrior.of("Model", (4, 3), 5, 0.9)
    assert (prior.words, prior.values, prior.pooled_dim, prior.ema_momentum) == (4, 3, 5, 0.9)
    assert CodePrior.of("Model", prior, 5, 0.9) is prior
    with pytest.raises(ValueError, match=r"Model: codes must be \(words, values\), .*; got \(4,\)"):
        CodePrior.of("Model", (4,), 5, 0.9)
