import keras
import numpy as np
import pytest

from kgen.networks.configured_network import ConfiguredNetwork


@keras.saving.register_keras_serializable(package="tests")
class Scaling(ConfiguredNetwork):
    def __init__(self, sizes, activation="relu", dtype=None, **kwargs):
        inputs = keras.Input(sizes)
        super().__init__(inputs, keras.layers.Dense(3, activation, dtype=dtype)(inputs), **kwargs)
        self.keep(dtype, sizes=sizes, activation=activation)


@pytest.mark.backends
def test_arguments_are_attributes_and_config(tmp_path):
    network = Scaling([4], activation="tanh", name="scaling")
    assert network.sizes == (4,) and network.activation is keras.activations.tanh
    config = network.get_config()
    assert config == {**config, "sizes": (4,), "activation": "tanh", "name": "scaling", "trainable": True}
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(each(x)) for each in (network, loaded)), atol=1e-6)


def test_the_dtype_is_kept():
    network = Scaling((4,), dtype="mixed_float16")
    assert network.dtype_policy.name == "mixed_float16"
    assert Scaling.from_config(network.get_config()).dtype_policy.name == "mixed_float16"
