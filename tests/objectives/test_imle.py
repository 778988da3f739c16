import numpy as np
import pytest
from keras import ops

from kgen.objectives import IMLE
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

IMAGES, _ = tiny_text.pictures(16)
CAPTIONS = [["a picture"]] * 16


def model(**kwargs):
    return tiny_text.model(
        **{"recipe": "imle", "encoder": None, "reconstruction": None, "caption_dropout": 0.0, **kwargs}
    )


def array(tensor):
    return ops.convert_to_numpy(ops.stop_gradient(tensor))


@pytest.mark.backends
@pytest.mark.parametrize("least_distance", [0.0, 0.6])
def test_the_nearest_draw_is_chosen_but_none_that_is_too_near(least_distance):
    made = model()
    made.compile(samples=5, least_distance=least_distance)
    seen = []

    class Generator:
        """Draws all images of a row apart from each other: the j-th has the value 0.3 j everywhere."""

        def __call__(self, inputs, training):
            seen.append(array(inputs["latents"]))
            values = np.tile(0.3 * np.arange(5), 2).astype("float32")
            return ops.convert_to_tensor(np.ones((10, *tiny_text.SHAPE), "float32") * values[:, None, None, None])

        input = {"latents": None, "pooled": None}

    made.objective.model = type("Model", (), {"generator": Generator(), "latent_dim": 4})()
    images = ops.convert_to_tensor(
        np.ones((2, *tiny_text.SHAPE), "float32") * np.array([0.0, 1.0])[:, None, None, None].astype("float32")
    )
    latents = array(made.objective.chosen(images, {"pooled": ops.zeros((2, 16))}, made.seeds(False)))
    of_each = seen[0].reshape((2, 5, 4))
    # 0, 0.3, 0.6, 0.9, 1.2 beside 0 and beside 1.
    wanted = (0, 3) if least_distance == 0.0 else (2, 1)
    for row, number in enumerate(wanted):
        np.testing.assert_allclose(latents[row], of_each[row, number], rtol=1e-6)


def test_one_caption_has_all_its_images():
    made = model(generator=tiny_text.decoder(output_activation="tanh"))
    made.compile(samples=8)
    history = made.fit(IMAGES, CAPTIONS, epochs=150, batch_size=16, verbose=0).history
    assert set(history) == {"loss", "pixel_error"} and history["loss"][-1] < 0.5 * history["loss"][0]
    drawn = made.generate("a picture", num_images=64, seed=0, verbose=0).astype("float32").mean(axis=(1, 2))
    distances = np.abs(drawn[:, None] - np.array(list(tiny_text.COLORS.values()))).mean(axis=2)
    # By the processor, from 0.69.
    assert np.mean(distances.min(axis=1) < 50) > 0.6
    assert len(np.unique(distances.argmin(axis=1))) == 4


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="TextToImage.compile: samples must be an integer of at least 1"):
        model().compile(samples=0)
    with pytest.raises(ValueError, match="the recipe 'imle' has no encoder; leave it out"):
        model(encoder=tiny_text.encoder(8))
    with pytest.raises(ValueError, match="the recipe 'imle' has no reconstruction"):
        model(reconstruction="gaussian")
    assert isinstance(model().objective, IMLE)
