"""A VAE with a hierarchy of latents and pictures at several scales, and its parts."""

import keras
import numpy as np
import pytest
from keras import ops

from kgen import losses
from kgen.models import VAE
from kgen.networks import LadderDecoder, LadderEncoder, ladder
from kgen.networks.ladder_decoder import split_levels
from tests.checks import models
from tests.checks.networks import stir
from tests.models import tiny

SGD = keras.optimizers.SGD
DIMS = (3, 4 * 4 * 1, 8 * 8 * 2)
SIZES = dict(latent_dim=3, levels=3, latent_channels=(1, 2), filters=8, blocks=(0, 1))


def networks(num_classes=None, channels=3, all_scales=True, **sizes):
    sizes = {**SIZES, "pooled_dim": num_classes, **sizes}
    encoder = LadderEncoder(tiny.SHAPE, feature_dim=8, **sizes)
    return encoder, LadderDecoder((8, 8, channels), condition_dim=8, all_scales=all_scales, **sizes)


def ladder_vae(num_classes=None, seed=0, reconstruction="auto", **sizes):
    encoder, decoder = networks(num_classes, **sizes)
    dims = sum(decoder.latent_dims)
    return VAE(encoder, decoder, dims, reconstruction, num_classes=num_classes, seed=seed)


def inputs(count=8):
    return ops.convert_to_tensor((tiny.pictures(count) / 127.5 - 1).astype("float32"))


def arrays(tensors):
    return [ops.convert_to_numpy(ops.stop_gradient(tensor)) for tensor in tensors]


# === The checks of every PhasedModel ===
def quiet():
    """Conditional, at all scales, with latents that follow from the pictures: nothing is random."""
    vae = ladder_vae(tiny.CLASSES)
    stir(vae.encoder), stir(vae.decoder)
    vae.compile(SGD(1e-4), scales_weight=0.5)
    vae.objective.posterior[True] = tiny.FixedPosterior(0.3)
    return vae


def from_global_policy():
    vae = ladder_vae()
    vae.compile()
    return vae


@pytest.mark.slow
def test_backends_agree():
    models.check_backends_agree(quiet, (tiny.pictures(40), tiny.labels(40)))


@pytest.mark.slow
def test_resuming(tmp_path):
    models.check_resume(from_global_policy, tiny.pictures(), tmp_path)


@pytest.mark.slow
def test_replicas():
    models.check_replicas(quiet, (tiny.pictures(20), tiny.labels(20)))


@pytest.mark.slow
def test_mixed_precision():
    models.check_mixed_precision(from_global_policy, tiny.pictures(), "mixed_float16")


def test_evaluation_does_not_change_training():
    models.check_evaluation(from_global_policy, tiny.pictures())


# === The bound ===
@pytest.fixture(scope="module")
def vae():
    model = models.make(ladder_vae)
    stir(model.encoder), stir(model.decoder)
    model.average.network.set_weights(model.decoder.get_weights())
    model.compile(SGD(1e-5))
    return model


@pytest.mark.backends
def test_moments_are_of_all_levels_side_by_side(vae):
    assert (
        vae.latent_dims == DIMS
        and vae.latent_dim == sum(DIMS)
        and vae.objective.level_names == ("kl_1", "kl_2", "kl_3")
    )
    drawn = []

    def sample(mean, log_variance):
        drawn.append(mean + 0.5 * ops.exp(0.5 * log_variance))
        return drawn[-1]

    mean, log_variance, latents, outputs = vae.posterior.infer(inputs(), {}, sample)
    assert [part.shape[-1] for part in drawn] == list(DIMS)
    for together in (mean, log_variance, latents):
        assert tuple(together.shape) == (8, sum(DIMS))
    np.testing.assert_array_equal(*arrays((ops.concatenate(drawn, axis=-1), latents)))
    # The decoder makes of these latents what the way down made.
    np.testing.assert_allclose(*arrays((vae.decoder(latents), outputs)), rtol=1e-4, atol=1e-4)
    assert [part.shape[-1] for part in split_levels(mean, vae.latent_dims)] == list(DIMS)
    means = vae.posterior.infer(inputs(), {})
    np.testing.assert_array_equal(*arrays((means[0], means[2])))


@pytest.mark.backends
def test_a_posterior_depends_on_coarser_latents_and_not_on_finer_ones(vae):
    def moments(shifted):
        """Means when the latents of one level are shifted."""
        level = iter(range(len(DIMS)))
        means = vae.posterior.infer(inputs(), {}, lambda mean, _: mean + (next(level) == shifted))[0]
        return arrays(split_levels(means, vae.latent_dims))

    plain = moments(None)
    for shifted in range(len(DIMS)):
        for level, (one, other) in enumerate(zip(plain, moments(shifted))):
            assert (np.abs(one - other).max() > 1e-3) == (level > shifted), (level, shifted)


@pytest.mark.backends
def test_losses_in_the_logs_are_those_of_the_equations(vae):
    images, posterior = tiny.pictures(8), vae.objective.posterior[False]
    vae.objective.posterior[False] = tiny.FixedPosterior(0.3)
    try:
        vae.reset_metrics()
        logs = vae.test_on_batch(images, return_dict=True)
    finally:
        vae.objective.posterior[False] = posterior
    mean, log_variance, latents, _ = arrays(vae.posterior.infer(inputs(), {}, tiny.FixedPosterior(0.3)))
    each = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1)
    first = 0
    for name, size in zip(vae.objective.level_names, DIMS):
        np.testing.assert_allclose(logs[name], each[:, first : first + size].sum(axis=1).mean(), rtol=1e-3)
        first += size
    np.testing.assert_allclose(logs["kl"], each.sum(axis=1).mean(), rtol=1e-3)
    coarse, fine = vae.decoder.scales(ops.convert_to_tensor(latents))
    x = images / 127.5 - 1
    averaged = x.reshape(8, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    for term, real, drawn in (("reconstruction", x, fine), ("scales", averaged, coarse)):
        expected = arrays([losses.Gaussian(0.5).loss(ops.convert_to_tensor(real.astype("float32")), drawn)])[0].mean()
        np.testing.assert_allclose(logs[term], expected, rtol=1e-3)
    np.testing.assert_allclose(logs["loss"], logs["reconstruction"] + logs["kl"] + logs["scales"], rtol=1e-3)


@pytest.mark.backends
def test_one_level_is_the_plain_vae():
    vae = models.make(lambda: ladder_vae(levels=1, latent_channels=1, all_scales=False))
    vae.compile()
    assert (
        vae.latent_dims == (3,)
        and vae.latent_dim == 3
        and vae.objective.level_names == ()
        and not vae.objective.multiscale
    )
    mean, log_variance, latents, outputs = vae.posterior.infer(inputs(), {}, tiny.FixedPosterior(0.3))
    plain_mean, plain_log_variance = ops.split(vae.encoder(inputs()), 2, axis=-1)
    plain_latents = tiny.FixedPosterior(0.3)(plain_mean, plain_log_variance)
    plain = (plain_mean, plain_log_variance, plain_latents, vae.decoder(plain_latents))
    for one, other in zip(arrays((mean, log_variance, latents, outputs)), arrays(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert set(vae.test_on_batch(tiny.pictures(8), return_dict=True)) == {
        "loss",
        "reconstruction",
        "kl",
        "pixel_error",
        "active_units",
    }


# === Training and use ===
@pytest.mark.backends
def test_a_step_reaches_every_variable_and_what_is_saved_goes_on(tmp_path, vae):
    parts = [*vae.encoder.trainable_variables, *vae.decoder.trainable_variables]
    assert len({id(part) for part in parts}) == len(parts)
    before = [value.copy() for value in arrays(parts)]
    vae.fit(tiny.pictures(), batch_size=8, epochs=1, verbose=0)
    for part, old, new in zip(parts, before, arrays(parts)):
        assert np.isfinite(new).all() and np.abs(new - old).max() > 0, f"no gradient reaches {part.path}"
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    models.assert_same_state(models.state(vae), models.state(loaded))
    assert loaded.latent_dims == DIMS and loaded.objective.multiscale and loaded.objective.scales_weight == 1.0
    logs = [models.fit(model, tiny.pictures(), 8, 1).history for model in (vae, loaded)]
    assert logs[0] == logs[1]
    models.assert_same_state(models.state(vae), models.state(loaded))


@pytest.mark.backends
def test_an_image_is_the_same_alone_and_among_others(vae):
    vae.average.updates.assign(1.0)
    pictures = vae.generate(3, seed=[5, 6, 7])
    assert pictures.shape == (3, *tiny.SHAPE) and (pictures[0] != pictures[1]).any()
    assert np.abs(vae.generate(1, seed=6)[0].astype(int) - pictures[1]).max() <= 1
    assert vae.interpolate(5, 6, steps=3).shape == (3, *tiny.SHAPE)
    assert vae(arrays([inputs()])[0]).shape == (8, *tiny.SHAPE)


def test_with_labels_a_likelihood_that_learns_its_spread_and_a_divergence_without_levels():
    vae = ladder_vae(tiny.CLASSES, reconstruction="discretized_logistic", channels=6)
    vae.compile(divergence="mmd", scales_weight=0.0)
    logs = vae.fit(tiny.pictures(), tiny.labels(), batch_size=8, verbose=0).history
    assert np.isfinite(logs["loss"]).all() and logs["scales"] == [0.0] and logs["mmd"] != [0.0]
    assert vae.generate(labels=[0, 1], seed=0).shape == (2, *tiny.SHAPE)


def test_exported_with_all_its_levels(tmp_path, tensorflow_backend):
    import tensorflow as tf

    vae = ladder_vae()
    vae.average.updates.assign(1.0)
    vae.export(tmp_path / "vae")
    serve = tf.saved_model.load(str(tmp_path / "vae")).signatures["serving_default"]
    served = serve(seeds=tf.constant([3, 5]))["images"].numpy()
    assert np.abs(served.astype(int) - vae.generate(2, seed=[3, 5])).max() <= 1


# === Building ===
def test_from_an_image_shape():
    vae = VAE.from_image_shape(
        (8, 8, 1), 5, 4, levels=2, latent_channels=3, attention_resolutions=(4,), multiscale=True
    )
    assert vae.latent_dims == (5, 4 * 4 * 3) and vae.latent_dim == 53 and vae.num_classes == 4
    vae.compile(scales_weight=0.5)
    assert vae.get_compile_config()["scales_weight"] == 0.5
    assert not VAE.from_image_shape((28, 28, 1), 5, levels=3).objective.multiscale
    assert VAE.from_image_shape((8, 8, 1), 5, multiscale=True, size="medium").objective.level_names == ()


def test_networks_that_do_not_go_together():
    encoder, decoder = networks()
    with pytest.raises(ValueError, match="VAE: a LadderEncoder and a LadderDecoder go together; only one"):
        VAE(encoder, tiny.decoder(), 4)
    with pytest.raises(ValueError, match="VAE: a LadderEncoder and a LadderDecoder go together; only one"):
        VAE(tiny.encoder(2 * sum(DIMS)), decoder, sum(DIMS))
    other = networks(latent_channels=2)[1]
    with pytest.raises(ValueError, match=r"must have the same levels. The encoder has \(3, 16, 128\) latents"):
        VAE(encoder, other, sum(other.latent_dims))
    with pytest.raises(ValueError, match=r"means and log-variances, shape \(batch, 8\); got \(None, 6\)"):
        ladder.check_posterior("VAE", tiny.encoder(6), tiny.decoder(), 4)


def test_a_weight_of_scales_is_not_negative():
    with pytest.raises(ValueError, match="VAE.compile: scales_weight must be a number of at least 0; got -1"):
        tiny.vae().compile(scales_weight=-1)
