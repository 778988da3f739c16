import keras
import numpy as np
import pytest

from tests.models import test_cycle_gan as cycle


class Recorder(keras.callbacks.Callback):
    """What the second set's pictures were, step by step, by their mean."""

    def __init__(self):
        super().__init__()
        self.means = []

    def set_model(self, model):
        super().set_model(model)
        second_of = model.second_of

        def recorded(batch, training):
            pictures = second_of(batch, training)
            self.means += [round(float(each), 3) for each in keras.ops.mean(pictures, axis=(1, 2, 3))]
            return pictures

        model.second_of = recorded


def grey(*levels):
    return np.stack([np.full(cycle.SHAPE, level, "uint8") for level in levels])


def seen_means(*data, **kwargs):
    model, recorder = cycle.eager(), Recorder()
    model.fit(*data, callbacks=[recorder], verbose=0, **kwargs)
    return recorder.means


@pytest.mark.backends
def test_the_second_set_is_drawn_by_lot_and_may_be_of_another_number():
    levels = {round(2 * level / 255 - 1, 3): level for level in (0, 51, 204)}
    means = seen_means(cycle.squares(cycle.RED, 24), grey(*levels.values()), batch_size=8)
    assert set(means) == set(levels)
    # Neither in their order nor as often as one another.
    assert means[:6] != means[6:12]


def test_pairs_of_a_dataset_stay_together(tensorflow_backend):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((cycle.squares(cycle.RED, 3), grey(0, 51, 204))).batch(3)
    # Once for each phase.
    assert seen_means(data) == 2 * [-1.0, -0.6, 0.6]


def test_what_was_given_to_fit_is_let_go():
    model = cycle.eager()
    model.fit(cycle.squares(cycle.RED, 4), grey(0), verbose=0)
    assert model._second is None


def test_fewer_of_the_second_set_are_repeated_in_evaluation():
    model = cycle.eager()
    first, second = cycle.squares(cycle.RED, 4), grey(0, 204)
    repeated = model.evaluate(first, second, return_dict=True, verbose=0)
    assert repeated == model.evaluate(first, second[[0, 1, 0, 1]], return_dict=True, verbose=0)
    assert repeated != model.evaluate(first, second[:1], return_dict=True, verbose=0)


def test_both_sets_must_be_in_one_range():
    model = cycle.eager()
    with pytest.raises(ValueError, match="CycleGAN: images and others must be in one range"):
        model.fit(cycle.squares(cycle.RED, 4) / 127.5 - 1.0, grey(0, 255) / 255.0)
