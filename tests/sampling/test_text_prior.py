import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats
from scipy.special import logsumexp

from kgen.models import TextToImage
from kgen.sampling.latent_prior import component_noise
from kgen.sampling.text_prior import TextPrior
from kgen.text import CaptionBatches, TextEncoder, encoder_from_captions
from kgen.training import image_noise
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

OWNER = "TextToImage.fit_prior"


def array(tensor):
    return ops.convert_to_numpy(tensor)


class Table:
    """Features of two captions of the same two words; the third place is empty."""

    def index(self, captions):
        return np.array([["dog cat", "cat dog"].index(caption) for caption in captions], "int32")

    def gather(self, rows):
        words = np.array([[[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]], [[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]], "float32")
        mask = np.array([[True, True, False]] * 2)
        return {"pooled": np.zeros((len(rows), 2), "float32"), "tokens": words[rows], "mask": mask[rows]}


def captions_and_latents(count=400):
    """Of one caption latents are at one of two places, of the other at a third."""
    random = np.random.default_rng(0)
    caption = np.arange(count) % 2
    side = np.where(random.random(count) < 0.25, -2.0, 2.0)
    means = np.stack([np.where(caption == 0, side, 0.0), np.where(caption == 0, 1.0, -3.0)], axis=1)
    captions = [[["dog cat"], ["cat dog"]][number] for number in caption]
    batches = CaptionBatches(np.zeros((count, 1, 1, 3), "uint8"), captions, Table())
    return batches, lambda features: features, np.concatenate([means, np.full(means.shape, 2 * np.log(0.2))], axis=1)


@pytest.fixture(scope="module")
def prior():
    return TextPrior.fit(OWNER, *captions_and_latents(), 4, 1000, 0, False)


def draws(prior, row, count=500, length=3):
    seeds, indices = np.full(count, 5, "int32"), np.arange(count, dtype="int32")
    features = {name: np.repeat(each, count, axis=0) for name, each in Table().gather([row]).items()}
    features = {name: ops.convert_to_tensor(features[name][:, :length]) for name in ("tokens", "mask")}
    return array(prior.draw(image_noise(seeds, indices, 2), component_noise(seeds, indices), features))


@pytest.mark.backends
def test_draws_are_where_the_captions_latents_are(prior):
    first, second = draws(prior, 0), draws(prior, 1)
    np.testing.assert_allclose(second.mean(axis=0), [0.0, -3.0], atol=0.1)
    # A stray component may hold a few.
    np.testing.assert_allclose(np.quantile(np.abs(second - [0.0, -3.0]), 0.68, axis=0), [0.2, 0.2], atol=0.06)
    np.testing.assert_allclose(np.abs(first[:, 0]).mean(), 2.0, atol=0.1)
    np.testing.assert_allclose((first[:, 0] < 0).mean(), 0.25, atol=0.08)
    assert prior.gain > 3.0


@pytest.mark.backends
def test_log_density_by_hand(prior):
    latents = np.random.default_rng(1).normal(size=(10, 2))
    features = Table().gather(np.arange(10) % 2)
    x = (features["tokens"] @ prior.weights[0] + prior.weights[1]) * features["mask"][..., None]
    x = x.reshape(10, -1)
    for kernel, bias in (prior.weights[2:4], prior.weights[4:6]):
        x = x @ kernel + bias
        x = x / (1.0 + np.exp(-x))
    outputs = (np.einsum("nw,wcd->ncd", x, prior.weights[6]) + prior.weights[7])[:, 1:]
    log_weights = outputs[..., 0] - logsumexp(outputs[..., 0], axis=1, keepdims=True)
    deviations = np.exp(np.clip(outputs[..., 3:], -2.0, 2.0))
    each = stats.norm.logpdf(latents[:, None], outputs[..., 1:3], deviations).sum(axis=2)
    features = {name: ops.convert_to_tensor(each) for name, each in features.items()}
    found = array(prior.log_density(ops.convert_to_tensor(latents.astype("float32")), features))
    np.testing.assert_allclose(found, logsumexp(log_weights + each, axis=1) + np.log(2 * np.pi), rtol=1e-3, atol=1e-3)


@pytest.mark.backends
def test_tokens_beyond_those_it_learned_from_are_not_read_and_fewer_will_do(prior):
    np.testing.assert_allclose(draws(prior, 0, length=2), draws(prior, 0), atol=1e-6)
    prior_of_two = TextPrior(*prior.weights[:2], prior.weights[2][:64], *prior.weights[3:])
    np.testing.assert_allclose(draws(prior_of_two, 0), draws(prior, 0), atol=1e-6)


def test_a_single_normal_distribution_reads_beside_the_mixture(prior):
    """It has learned where the latents of each caption are in the mean."""
    features = {name: each for name, each in Table().gather([0, 1]).items() if name != "pooled"}
    weights = [weight.reshape(len(weight), -1) if weight.ndim == 3 else weight.ravel() for weight in prior.weights[6:]]
    prior.network.set_weights([*prior.weights[:6], *weights])
    single = array(prior.network(features)).reshape(2, 5, 5)[:, 0]
    np.testing.assert_allclose(single[:, 1:3], [[1.0, 1.0], [0.0, -3.0]], atol=0.3)
    np.testing.assert_allclose(np.exp(single[0, 3]), np.sqrt(3.0 + 0.04), atol=0.3)


def test_on_disk(prior):
    store = {"other": np.zeros(1)}
    assert TextPrior.load(store) is None
    prior.save(store)
    again = TextPrior.load(store)
    assert list(store) == ["other"]
    np.testing.assert_array_equal(draws(again, 0), draws(prior, 0))


@pytest.mark.backends
def test_the_same_seed_finds_the_same():
    found = []
    for elsewhere in range(2):
        keras.utils.set_random_seed(elsewhere)
        found.append(TextPrior.fit(OWNER, *captions_and_latents(400), 2, 15, 7, False))
    for a, b in zip(*(prior.weights for prior in found)):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert found[0].gain == pytest.approx(found[1].gain, abs=1e-4)
    other = TextPrior.fit(OWNER, *captions_and_latents(400), 2, 15, 8, False)
    assert np.abs(other.weights[0] - found[0].weights[0]).max() > 1e-2


# === Within a model ===
def learned(epochs=30):
    """A model, and pictures of which a caption has two: one dark and one bright."""
    keras.utils.set_random_seed(0)
    model = tiny_text.model(caption_dropout=0.2)
    model.compile(keras.optimizers.Adam(0.01))
    images, captions = tiny_text.pictures(48)
    images[::2] //= 3
    model.fit(images, captions, batch_size=16, epochs=epochs, verbose=0)
    return model, images, captions


@pytest.fixture(scope="module")
def model():
    made, images, captions = learned()
    made.before = made.generate(tiny_text.CAPTIONS[:4], seed=3)
    made.gain = made.fit_prior(images, captions, components=4, steps=60, verbose=0)
    return made


@pytest.mark.backends
def test_it_is_what_generate_draws_from(model):
    pictures = model.generate(tiny_text.CAPTIONS[:4], seed=3)
    assert np.isfinite(model.gain) and (pictures != model.before).any()
    together = model.generate(tiny_text.CAPTIONS[:4], seed=[3, 4, 5, 6])
    alone = [model.generate(caption, seed=seed) for caption, seed in zip(tiny_text.CAPTIONS, (3, 4, 5, 6))]
    np.testing.assert_allclose(np.stack(alone).astype(int), together, atol=1)
    # What a walk begins and ends with are the pictures that `generate` gives.
    walk = model.walk(tiny_text.CAPTIONS[:2], steps=2, seed=3)
    np.testing.assert_allclose(walk[[0, 2]].astype(int), model.generate(tiny_text.CAPTIONS[:2], seed=3), atol=1)


@pytest.mark.backends
def test_save_and_load_and_preset(model, tmp_path):
    pictures = model.generate(tiny_text.CAPTIONS[:4], seed=3)
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    loaded = [
        keras.saving.load_model(tmp_path / "model.keras"),
        TextToImage.from_preset(tmp_path / "preset"),
    ]
    for each in loaded:
        np.testing.assert_array_equal(each.generate(tiny_text.CAPTIONS[:4], seed=3), pictures)


def test_a_model_that_has_drawn_already_takes_the_prior_of_a_file(model, tmp_path):
    model.save_weights(tmp_path / "all.weights.h5")
    other = tiny_text.model(caption_dropout=0.2)
    other.compile(keras.optimizers.Adam(0.01))
    other.train_on_batch(*tiny_text.pictures(16))
    before = other.generate(tiny_text.CAPTIONS[:4], seed=3)
    other.load_weights(tmp_path / "all.weights.h5")
    after = other.generate(tiny_text.CAPTIONS[:4], seed=3)
    assert (after != before).any()
    np.testing.assert_array_equal(after, model.generate(tiny_text.CAPTIONS[:4], seed=3))


def test_it_is_exported(model, tmp_path, tensorflow_backend):
    import tensorflow as tf

    model.export(tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    served = serve(prompts=tf.constant(tiny_text.CAPTIONS[:3]), seeds=tf.range(3))["images"].numpy()
    expected = model.generate(tiny_text.CAPTIONS[:3], seed=range(3))
    np.testing.assert_allclose(served.astype(int), expected, atol=1)


def test_training_drops_it():
    made, images, captions = learned(epochs=1)
    made.fit_prior(images, captions, components=1, steps=2, verbose=0)
    with pytest.warns(UserWarning, match="training changes the latents, so the prior from fit_prior is dropped"):
        made.train_on_batch(images[:16], captions[:16])
    assert made.sampler.prior is None


def test_it_changes_nothing_else():
    made, images, captions = learned(epochs=1)
    before = [array(variable) for variable in made.variables]
    made.fit_prior(images, captions, components=1, steps=2, verbose=0)
    assert len(before) == len(made.variables)
    for a, b in zip(before, made.variables):
        np.testing.assert_array_equal(a, array(b))


@pytest.mark.parametrize(
    "make, arguments, error, message",
    [
        (
            lambda: tiny_text.model("gan"),
            {},
            TypeError,
            "it needs a VAE, which finds the latents of images; this model is a GAN",
        ),
        (lambda: tiny_text.model(trainable=True), {}, ValueError, "the text encoder must be frozen"),
        (tiny_text.model, {"components": 0}, ValueError, "components must be an integer of at least 1; got 0"),
        (tiny_text.model, {"steps": 1.5}, ValueError, "steps must be an integer of at least 1; got 1.5"),
        (tiny_text.model, {"seed": "a"}, ValueError, "seed must be an integer; got 'a'"),
    ],
)
def test_what_is_wrong_says_so(make, arguments, error, message):
    with pytest.raises(error, match=message):
        make().fit_prior(*tiny_text.pictures(24), verbose=0, **arguments)


def test_too_few_images():
    with pytest.raises(ValueError, match="a prior needs at least 20 images to learn from; got 16"):
        tiny_text.model().fit_prior(*tiny_text.pictures(16), verbose=0)


def test_a_copy_for_another_text_encoder_draws_from_it_too_and_then_goes_its_own_way():
    made, images, captions = learned(epochs=1)
    early = made.with_text_encoder(made.text_encoder)
    before = made.generate(tiny_text.CAPTIONS[:4], seed=3)
    np.testing.assert_array_equal(early.generate(tiny_text.CAPTIONS[:4], seed=3), before)
    made.fit_prior(images, captions, components=4, steps=60, verbose=0)
    after = made.generate(tiny_text.CAPTIONS[:4], seed=3)
    assert (after != before).any()
    np.testing.assert_array_equal(early.generate(tiny_text.CAPTIONS[:4], seed=3), before)
    late = made.with_text_encoder(made.text_encoder)
    made.sampler.prior = None
    np.testing.assert_array_equal(made.generate(tiny_text.CAPTIONS[:4], seed=3), before)
    np.testing.assert_array_equal(late.generate(tiny_text.CAPTIONS[:4], seed=3), after)


def test_a_text_encoder_of_other_tokens_is_refused_where_the_prior_reads_them():
    decoder = tiny_text.MultiscaleDecoder(
        tiny_text.SHAPE, 4, pooled_dim=16, start=4, patch=4, filters=8, attention_resolutions=(), condition_dim=32
    )
    made = tiny_text.model(generator=decoder)
    wide = encoder_from_captions(tiny_text.CAPTIONS, width=32, num_layers=1, num_heads=2, sequence_length=8, seed=0)
    wide = TextEncoder(wide.backbone, wide.preprocessor, projection_dim=16)
    made.with_text_encoder(wide)
    made.fit_prior(*tiny_text.pictures(24), components=1, steps=2, verbose=0)
    with pytest.raises(ValueError, match="reads 'tokens' of length 16; this text encoder gives 32"):
        made.with_text_encoder(wide)


def test_measures_see_pictures_of_the_learned_prior():
    class Middle:
        def draw(self, noise, choice, condition):
            return 0.0 * noise

    made, images, captions = learned(epochs=1)
    inside = made.image_input.to_network(ops.convert_to_tensor(images[:4]))
    batch = {"images": inside, **made.text_encoder.encode([each[0] for each in captions[:4]])}
    before = array(made.counterparts(batch, paired=False)[1])
    made.sampler.prior = Middle()
    drawn = array(made.counterparts(batch, paired=False)[1])
    condition = made.condition({name: batch[name] for name in ("pooled", "tokens", "mask")})
    expected = array(made.sampler.synthesize(ops.zeros((4, tiny_text.LATENT_DIM)), condition))
    np.testing.assert_allclose(drawn, expected, atol=1e-5)
    assert np.abs(before - expected).max() > 1e-3


def test_a_copy_for_another_text_encoder_shares_no_likelihood():
    made = tiny_text.model(reconstruction="learned_gaussian")
    made.reconstruction.log_sigma.assign(0.25)
    other = made.with_text_encoder(made.text_encoder)
    assert float(other.reconstruction.log_sigma) == 0.25
    ids = {id(variable) for variable in made.variables}
    shared = [variable.path for variable in other.variables if id(variable) in ids]
    assert len(shared) == len(made.text_encoder.variables)
