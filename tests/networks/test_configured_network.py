import keras
import numpy as np
import pytest

from kgen.networks import MultiscaleEncoder, spectrally_normalized
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.serializable import serializable
from kgen.training import network_copy


@serializable
class Scaling(ConfiguredNetwork):
    def __init__(self, sizes, activation="relu", dtype=None, **kwargs):
        inputs = keras.Input(sizes)
        super().__init__(inputs, keras.layers.Dense(3, activation, dtype=dtype)(inputs), **kwargs)
        self.keep(locals())


@serializable
class NamedScaling(Scaling):
    def __init__(self, title="none", **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())


@pytest.mark.backends
def test_arguments_are_attributes_and_config(tmp_path):
    network = Scaling([4], activation="tanh", name="scaling")
    assert network.sizes == (4,) and network.activation is keras.activations.tanh
    config = network.get_config()
    assert config == {**config, "sizes": (4,), "activation": "tanh", "name": "scaling", "trainable": True}
    assert set(config) == {"sizes", "activation", "dtype", "name", "trainable"}
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert loaded.get_config() == config
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(each(x)) for each in (network, loaded)), atol=1e-6)


def test_a_subclass_adds_arguments():
    network = NamedScaling(title="mine", sizes=(4,), activation="tanh")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert type(copy) is NamedScaling and (copy.title, copy.sizes) == ("mine", (4,))
    assert copy.activation is keras.activations.tanh


def test_the_dtype_is_kept():
    network = Scaling((4,), dtype="mixed_float16")
    assert network.dtype_policy.name == "mixed_float16"
    assert Scaling.from_config(network.get_config()).dtype_policy.name == "mixed_float16"


def test_frozen_layers_stay_frozen(tmp_path):
    network = MultiscaleEncoder((16, 16, 3), 1, filters=8)
    for layer in network.layers[:4]:
        layer.trainable = False
    trained = [v.shape for v in network.trainable_variables]
    assert 0 < len(trained) < len(network.weights)
    network.save(tmp_path / "network.keras")
    for copy in (
        keras.models.load_model(tmp_path / "network.keras"),
        network_copy(network),
        spectrally_normalized(network),
    ):
        assert [layer.trainable for layer in copy.layers] == [layer.trainable for layer in network.layers]
        assert [v.shape for v in copy.trainable_variables] == trained
    network.trainable = False
    assert "frozen_layers" not in network.get_config() and not network_copy(network).trainable_variables
