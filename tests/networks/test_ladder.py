import numpy as np
import pytest
from keras import ops

from kgen import losses
from kgen.layers import LatentInjection2D
from kgen.networks import LadderDecoder, LadderEncoder, ladder
from tests.checks.networks import stir
from tests.networks import dense

DIMS = (3, 4 * 4 * 1, 8 * 8 * 2)
SIZES = dict(latent_dim=3, levels=3, latent_channels=(1, 2), filters=8, blocks=(0, 1))


def networks(num_classes=None, **sizes):
    sizes = {**SIZES, "pooled_dim": num_classes, **sizes}
    all_scales = sizes.pop("all_scales", True)
    encoder = LadderEncoder(dense.SHAPE, feature_dim=8, **sizes)
    decoder = LadderDecoder(dense.SHAPE, condition_dim=8, all_scales=all_scales, **sizes)
    stir(encoder), stir(decoder)
    return encoder, decoder


@pytest.fixture(scope="module")
def pair():
    return networks()


def fixed(mean, log_variance):
    """The point that is 0.3 deviations from the mean."""
    return mean + 0.3 * ops.exp(0.5 * log_variance)


def infer(encoder, decoder, sample=None, condition=None):
    images = ops.convert_to_tensor(dense.images(8))
    return ladder.infer(encoder, decoder, images, condition or {}, sample, False)


def arrays(tensors):
    return [ops.convert_to_numpy(ops.stop_gradient(tensor)) for tensor in tensors]


def test_what_is_known_of_the_latents(pair):
    assert ladder.is_ladder(pair[1]) and not ladder.is_ladder(dense.decoder())
    assert ladder.latent_dims(pair[1], sum(DIMS)) == DIMS and ladder.latent_dims(dense.decoder(), 4) == (4,)


def test_moments_are_of_all_levels_side_by_side(pair):
    drawn = []

    def sample(mean, log_variance):
        drawn.append(mean + 0.5 * ops.exp(0.5 * log_variance))
        return drawn[-1]

    mean, log_variance, latents, scales = infer(*pair, sample)
    assert [part.shape[-1] for part in drawn] == list(DIMS)
    for together in (mean, log_variance, latents):
        assert tuple(together.shape) == (8, sum(DIMS))
    np.testing.assert_array_equal(*arrays((ops.concatenate(drawn, axis=-1), latents)))
    # The decoder makes of these latents what the way down made.
    assert [tuple(scale.shape) for scale in scales] == [(8, 4, 4, 3), (8, 8, 8, 3)]
    np.testing.assert_allclose(*arrays((pair[1](latents), scales[-1])), rtol=1e-4, atol=1e-4)
    means = infer(*pair)
    np.testing.assert_array_equal(*arrays((means[0], means[2])))


@pytest.mark.backends
def test_a_posterior_depends_on_coarser_latents_and_not_on_finer_ones(pair):
    def moments(shifted):
        """Means when the latents of one level are shifted."""
        level = iter(range(len(DIMS)))
        (mean,) = arrays(infer(*pair, lambda mean, _: mean + (next(level) == shifted))[:1])
        return np.split(mean, np.cumsum(DIMS)[:-1], axis=1)

    plain = moments(None)
    for shifted in range(len(DIMS)):
        for level, (one, other) in enumerate(zip(plain, moments(shifted))):
            assert (np.abs(one - other).max() > 1e-3) == (level > shifted), (level, shifted)


@pytest.mark.backends
def test_the_kl_is_that_of_posterior_and_prior_where_latents_are():
    """KL(q(z) || p(z)) by hand, with the learned prior p(z | h), is the KL of eps against the standard normal."""
    draws = np.random.default_rng(0)
    h, mean, log_variance = draws.normal(size=(3, 2, 2, 8)), *draws.normal(size=(2, 3, 2, 2, 2))
    layer = LatentInjection2D()
    layer(h.astype("float32"), mean.astype("float32"))
    layer.moments.kernel.assign(np.random.default_rng(2).normal(size=(8, 4)))
    prior_mean, log_sigma = (np.float64(part) for part in arrays(layer.prior(h.astype("float32"))))
    sigma, q_mean, q_sigma = (
        np.exp(log_sigma),
        prior_mean + np.exp(log_sigma) * mean,
        np.exp(log_sigma + log_variance / 2),
    )
    kl = np.log(sigma / q_sigma) + (q_sigma**2 + (q_mean - prior_mean) ** 2) / (2 * sigma**2) - 0.5
    flat = [part.reshape(3, -1).astype("float32") for part in (mean, log_variance)]
    np.testing.assert_allclose(arrays([losses.gaussian_kl(*flat)])[0], kl.sum(axis=(1, 2, 3)), rtol=1e-4)


@pytest.mark.backends
@pytest.mark.parametrize("plain", [True, False])
def test_one_level_is_plain(plain):
    if plain:
        encoder, decoder = dense.encoder(2 * dense.LATENT_DIM), dense.decoder()
    else:
        encoder, decoder = networks(levels=1, latent_channels=1, all_scales=False)
    mean, log_variance, latents, (outputs,) = infer(encoder, decoder, fixed)
    plain_mean, plain_log_variance = ops.split(encoder(dense.images(8)), 2, axis=-1)
    plain_latents = fixed(plain_mean, plain_log_variance)
    expected = (plain_mean, plain_log_variance, plain_latents, decoder(plain_latents))
    for one, other in zip(arrays((mean, log_variance, latents, outputs)), arrays(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.backends
def test_both_networks_are_told_the_condition():
    pair = networks(dense.CLASSES)
    means = [arrays(infer(*pair, condition={"pooled": ops.one_hot([label] * 8, 3)})[:1])[0] for label in (0, 1)]
    for level in np.split(means[0] - means[1], np.cumsum(DIMS)[:-1], axis=1):
        assert np.abs(level).max() > 1e-4


def test_log_variances_are_bounded():
    encoder, decoder = dense.encoder(2 * dense.LATENT_DIM), dense.decoder()
    # An encoder that is far off: its log-variances would be in the thousands.
    for sign, bound in ((1.0, 10.0), (-1.0, -20.0)):
        layer = encoder.layers[-2]
        encoder.set_weights([1e4 * np.ones_like(weight) for weight in encoder.get_weights()])
        layer.set_weights([sign * weight for weight in layer.get_weights()])
        log_variance = ladder.infer(encoder, decoder, np.ones((1, *dense.SHAPE), "float32"), {}, None, False)[1]
        np.testing.assert_array_equal(arrays([log_variance])[0], bound)


def test_networks_that_do_not_go_together():
    encoder, decoder = networks()
    ladder.check_posterior("VAE", encoder, decoder, sum(DIMS))
    ladder.check_posterior("VAE", dense.encoder(8), dense.decoder(), 4)
    with pytest.raises(ValueError, match="VAE: a LadderEncoder and a LadderDecoder go together; only one"):
        ladder.check_posterior("VAE", encoder, dense.decoder(), 4)
    with pytest.raises(ValueError, match="VAE: a LadderEncoder and a LadderDecoder go together; only one"):
        ladder.check_posterior("VAE", dense.encoder(2 * sum(DIMS)), decoder, sum(DIMS))
    other = networks(latent_channels=2)[1]
    with pytest.raises(ValueError, match=r"must have the same levels. The encoder has \(3, 16, 128\) latents"):
        ladder.check_posterior("VAE", encoder, other, sum(other.latent_dims))
    with pytest.raises(ValueError, match=r"means and log-variances, shape \(batch, 8\); got \(None, 6\)"):
        ladder.check_posterior("VAE", dense.encoder(6), dense.decoder(), 4)


def test_images_averaged_down():
    images = ops.convert_to_tensor(np.arange(16, dtype="float32").reshape(1, 4, 4, 1))
    down = ladder.averaged_down(images, ops.zeros((1, 2, 2, 6)))
    np.testing.assert_allclose(arrays([down])[0][0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
