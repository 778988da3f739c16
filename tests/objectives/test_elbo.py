import keras
import numpy as np
import pytest
from keras import ops

from kgen import losses
from tests.checks import models
from tests.models import tiny

SGD = keras.optimizers.SGD


# === Divergences ===
def divergences(vae, updates, training=True):
    """What a batch's divergence counts after so many steps, with nothing random in it."""
    vae.average.updates.assign(updates)
    batch = {"images": ops.convert_to_tensor((tiny.pictures(8) / 127.5 - 1).astype("float32"))}
    return ops.convert_to_numpy(
        ops.stop_gradient(vae.objective.autoencoder_loss(batch, training)[vae.objective.divergence])
    )


@pytest.mark.backends
def test_the_divergence_counts_more_and_more_in_warming_up():
    vae = tiny.vae()
    vae.compile(beta=0.5, warmup_steps=4)
    full = divergences(vae, 0.0, training=False)  # evaluation never waits
    assert (full > 0).all()
    for updates, share in ((0, 0.0), (1, 0.25), (2, 0.5), (4, 1.0), (9, 1.0)):
        np.testing.assert_allclose(divergences(vae, float(updates)), share * full, rtol=1e-5)
    vae.compile(beta=0.5)
    np.testing.assert_allclose(divergences(vae, 0.0), full, rtol=1e-5)


@pytest.mark.backends
def test_warming_up_goes_on_in_compiled_steps_and_after_loading(tmp_path):
    vae = models.make(tiny.vae)
    vae.compile(SGD(0.0), warmup_steps=4)
    full = vae.evaluate(tiny.pictures(8), verbose=0, return_dict=True)["kl"]

    def shares(model, epochs):
        return np.divide(models.fit(model, tiny.pictures(8), 8, epochs).history["kl"], full)

    np.testing.assert_allclose(shares(vae, 2), [0.0, 0.25], rtol=1e-4)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.objective.warmup_steps == 4
    after = shares(loaded, 3)
    np.testing.assert_allclose(after, [0.5, 0.75, 1.0], rtol=1e-4)
    np.testing.assert_array_equal(shares(vae, 3), after)


@pytest.mark.backends
def test_discrepancy_in_place_of_the_divergence(tmp_path):
    vae = models.make(tiny.vae)
    vae.compile(beta=100.0, divergence="mmd")
    history = vae.fit(tiny.pictures(), batch_size=8, epochs=2, verbose=0).history
    assert set(history) == {"loss", "reconstruction", "mmd", "pixel_error", "active_units"}
    np.testing.assert_allclose(history["loss"], np.add(history["reconstruction"], history["mmd"]), rtol=1e-4)
    # Of latents and draws from the prior that are known.
    vae.objective.posterior[False] = tiny.FixedPosterior(0.3)
    vae.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    x = ops.convert_to_tensor((tiny.pictures(8) / 127.5 - 1).astype("float32"))
    drawn = tiny.FixedPosterior(0.3)(*vae.posterior.infer(x, {})[:2])
    expected = 100.0 * ops.convert_to_numpy(losses.maximum_mean_discrepancy(drawn, x[:, 1, 1:5, 0]))
    np.testing.assert_allclose(divergences(vae, 0.0, training=False), expected, rtol=1e-4)
    del vae.sampler.noise
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert (loaded.objective.divergence, loaded.objective.beta) == ("mmd", 100.0) and "mmd" in {
        metric.name for metric in loaded.metrics
    }


def test_a_collapsed_posterior_is_reported():
    vae = tiny.vae()
    vae.compile()
    assert vae.evaluate(tiny.pictures(), verbose=0, return_dict=True)["active_units"] > 0
    vae.encoder.set_weights([np.zeros_like(weight) for weight in vae.encoder.get_weights()])
    logs = vae.evaluate(tiny.pictures(), verbose=0, return_dict=True)
    assert logs["active_units"] == 0 and logs["kl"] == 0


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"warmup_steps": -1}, "warmup_steps must be an integer of at least 0; got -1"),
        ({"warmup_steps": 0.5}, "warmup_steps must be an integer of at least 0; got 0.5"),
        ({"divergence": "js"}, "divergence must be 'kl' or 'mmd'; got 'js'"),
        ({"divergence": "mmd", "free_nats": 0.1}, "free_nats need divergence='kl'"),
    ],
)
def test_divergences_that_there_are_not(arguments, said):
    with pytest.raises(ValueError, match=f"VAE.compile: {said}"):
        tiny.vae().compile(**arguments)


# === A perceptual term ===
def test_a_perceptual_term_is_the_distance_of_reconstructions_in_features():
    keras.utils.set_random_seed(0)
    edges = keras.Sequential([keras.Input((None, None, tiny.SHAPE[-1])), keras.layers.Conv2D(4, 3, name="edges")])
    loss = losses.PerceptualLoss(edges, ["edges"])
    model = tiny.vae()
    model.compile(perceptual=loss, perceptual_weight=30.0)
    images = tiny.pictures(8)
    logs = model.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    assert logs["perceptual"] > 0
    parts = sum(logs[name] for name in ("reconstruction", "kl", "perceptual"))
    np.testing.assert_allclose(logs["loss"], parts, rtol=1e-5)
    before = loss.loss(images / 255.0, model.reconstruct(images) / 255.0)
    model.compile(keras.optimizers.Adam(1e-2), perceptual=loss, perceptual_weight=30.0)
    model.fit(images, batch_size=8, epochs=30, verbose=0)
    model.compile(perceptual=loss)
    after = model.evaluate(images, batch_size=8, verbose=0, return_dict=True)["perceptual"]
    assert 30.0 * after < logs["perceptual"] and float(ops.mean(before)) > 0
    with pytest.warns(UserWarning, match=r"compile\(perceptual=...\) is not saved with VAE"):
        assert "perceptual" not in model.get_compile_config()
    with pytest.raises(ValueError, match="VAE.compile: perceptual_weight must be a number of at least 0; got -1"):
        model.compile(perceptual=loss, perceptual_weight=-1)
