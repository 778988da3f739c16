import keras
import pytest

from kgen.losses import Hinge
from kgen.metrics import FrechetDistance
from kgen.training.compile_config import saved_arguments


def dense():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def test_values_and_metrics_are_saved():
    saved = saved_arguments("Model", {"loss": Hinge(), "weight": 2.0}, [FrechetDistance()])
    assert saved["weight"] == 2.0 and isinstance(keras.saving.deserialize_keras_object(saved["loss"]), Hinge)
    assert [type(keras.saving.deserialize_keras_object(each)) for each in saved["metrics"]] == [FrechetDistance]
    assert "metrics" not in saved_arguments("Model", {}, [])


@pytest.mark.parametrize("value", [dense(), [dense().layers[0]], object()])
def test_what_a_config_would_not_bring_back_is_named(value):
    with pytest.warns(
        UserWarning, match=r"compile\(matching=...\) is not saved with Model. To continue training with it, "
    ):
        saved = saved_arguments("Model", {"matching": value, "weight": 1}, [])
    assert saved == {"weight": 1}


def test_a_metric_that_cannot_be_saved_is_named():
    class Nameless:
        name = "nameless"

        def get_config(self):
            raise ValueError("its extractor has no name")

    with pytest.warns(UserWarning, match="The metric nameless is not saved with the model: its extractor has no name"):
        assert saved_arguments("Model", {}, [Nameless()]) == {}
