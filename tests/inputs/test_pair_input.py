import keras
import numpy as np
import pytest
from keras import ops

from kgen.inputs import PairInput
from kgen.models.image_model import ImageModel
from kgen.training import Phase

SHAPE = (2, 3, 1)


class Shade(ImageModel):
    """Learns the mean shade of its second set, and keeps what it saw of it where it runs eagerly."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shade = self.add_weight(shape=(), initializer="zeros", name="shade")
        self.image_input = PairInput("Shade", SHAPE, self.float_scale)
        self.seen = []
        self.built = True

    def phases(self):
        return [Phase("shade", self.shade_loss, [self.shade])]

    def shade_loss(self, batch, training):
        others = self.image_input.second_of(batch, self.seeds(training))
        means = ops.mean(others, axis=(1, 2, 3))
        if self.run_eagerly and keras.backend.backend() != "jax":
            self.seen += [round(float(each), 3) for each in means]
        return ops.square(means - self.shade)


def shade(rate=0.1, **kwargs):
    model = Shade(seed=0)
    model.compile(keras.optimizers.SGD(rate), **kwargs)
    return model


def grey(*levels):
    return np.stack([np.full(SHAPE, level, "uint8") for level in levels])


FIRST = grey(*range(0, 240, 10))


def seen_means(*data, **kwargs):
    model = shade(run_eagerly=True)
    model.fit(*data, verbose=0, **kwargs)
    return model.seen


def test_the_second_set_is_drawn_by_lot_and_may_be_of_another_number():
    if keras.backend.backend() == "jax":
        pytest.skip("JAX traces a step even where it runs eagerly")
    levels = {round(2 * level / 255 - 1, 3): level for level in (0, 51, 204)}
    means = seen_means(FIRST, grey(*levels.values()), batch_size=8)
    assert set(means) == set(levels)
    # Neither in their order nor as often as one another.
    assert means[:6] != means[6:12]


def test_pairs_of_a_dataset_stay_together(tensorflow_backend):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((FIRST[:3], grey(0, 51, 204))).batch(3)
    assert seen_means(data) == [-1.0, -0.6, 0.6]


@pytest.mark.backends
def test_a_second_fit_sees_its_own_second_set():
    model = shade(rate=0.5)
    for level, wanted in ((0, -1.0), (255, 1.0), (0, -1.0)):
        loss = model.fit(FIRST, grey(level), batch_size=4, verbose=0, epochs=2).history["loss"][-1]
        assert loss < 1e-6 and float(ops.convert_to_numpy(model.shade)) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.backends
def test_what_was_given_to_fit_is_let_go():
    model = shade()
    model.fit(FIRST[:4], grey(0), verbose=0)
    assert model.image_input.second_set is None and model.graphs.constants == [False, None]
    with pytest.raises(ValueError, match="Divide by 255"):
        model.fit(FIRST * 1.0, grey(0))
    assert model.image_input.second_set is None
    with pytest.raises(ValueError, match=r"Shade: others must be given; call fit\(images, others\)"):
        model.train_on_batch(FIRST[:4])


@pytest.mark.backends
def test_fewer_of_the_second_set_are_repeated_in_evaluation():
    model = shade()
    first, second = FIRST[:4], grey(0, 204)
    repeated = model.evaluate(first, second, verbose=0)
    assert repeated == model.evaluate(first, second[[0, 1, 0, 1]], verbose=0)
    assert repeated != model.evaluate(first, second[:1], verbose=0)
    with pytest.raises(ValueError, match=r"evaluation needs others; pass \(images, others\)"):
        model.fit(first, second, validation_data=(first,), verbose=0)


def test_both_sets_must_be_in_one_range():
    model = shade()
    with pytest.raises(ValueError, match="Shade: images and others must be in the same range"):
        model.fit(FIRST / 127.5 - 1.0, grey(0, 255) / 255.0)
    with pytest.raises(ValueError, match=r"Shade, others: images must have shape \(N, 2, 3, 1\)"):
        model.fit(FIRST, FIRST[:, :1])


@pytest.mark.backends
@pytest.mark.parametrize("scale, offset, known", [(1 / 127.5, -1.0, (-1, 1)), (1 / 255.0, 0.0, (0, 1))])
def test_the_range_is_that_of_whichever_set_is_float(scale, offset, known):
    for data in ((FIRST, grey(0, 204) * scale + offset), (FIRST * scale + offset, grey(0, 204))):
        model = shade()
        model.fit(*data, verbose=0)
        assert model.image_input.float_range == known
    batch = model.prepare(np.float32(FIRST[:2] * scale + offset), grey(0, 204))
    np.testing.assert_allclose(ops.convert_to_numpy(batch["others"]), grey(0, 204) / 127.5 - 1.0, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(batch["images"]), FIRST[:2] / 127.5 - 1.0, atol=1e-6)


@pytest.mark.backends
def test_one_batch_need_not_show_the_range_of_all():
    model = shade()
    model.fit(FIRST / 127.5 - 1.0, grey(0, 255) / 127.5 - 1.0, verbose=0)
    model.train_on_batch(grey(200, 220) / 127.5 - 1.0, grey(0, 20) / 127.5 - 1.0)
    assert model.image_input.float_range == (-1, 1)
