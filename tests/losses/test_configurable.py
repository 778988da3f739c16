import keras
import pytest

from kgen import losses


@pytest.mark.backends
@pytest.mark.parametrize(
    "loss",
    [losses.NonSaturating(), losses.R1(3.0), losses.Logistic(), losses.Gaussian(0.25)],
    ids=lambda x: str(type(x)),
)
def test_a_loss_comes_back_from_its_config(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and vars(again) == vars(loss)
