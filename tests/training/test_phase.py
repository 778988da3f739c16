import keras
import pytest

from kgen.training import Phase


def _loss(batch, training):
    return batch


def test_defaults():
    variable = keras.Variable([1.0])
    phase = Phase("network", _loss, [variable])
    assert (phase.every, phase.terms, phase.measures) == (1, (), ())
    assert phase.variables[0] is variable


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", None, True])
def test_every_must_be_a_positive_integer(every):
    with pytest.raises(ValueError, match=r"Phase 'network': every must be an integer of at least 1; got"):
        Phase("network", _loss, [keras.Variable([1.0])], every=every)


def test_nothing_to_train():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.trainable = False
    with pytest.raises(ValueError, match="Phase 'network': there is nothing to train"):
        Phase("network", _loss, network.trainable_variables)


@pytest.mark.parametrize(
    "names", [{"terms": ("a",), "measures": ("a",)}, {"measures": ("loss",)}, {"terms": ("a", "a")}]
)
def test_a_name_stands_for_one_thing(names):
    with pytest.raises(ValueError, match="Phase 'network': terms and measures need names of their own"):
        Phase("network", _loss, [keras.Variable([1.0])], **names)
