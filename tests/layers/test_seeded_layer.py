import keras
import numpy as np
import pytest

from kgen.layers import DiffAugment, GaussianNoise, GaussianSampling
from kgen.training import SeedGenerator

LAYERS = [DiffAugment, GaussianNoise, GaussianSampling]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_generator_is_shared_and_comes_back_with_the_config(layer):
    seeds = SeedGenerator(3)
    made = layer(seed=seeds)
    assert made.seed_generator is seeds
    again = layer.from_config(made.get_config())
    assert isinstance(again.seed_generator, SeedGenerator)
    assert layer.from_config(layer(seed=7).get_config()).seed == 7
    assert layer(seed=np.int64(7)).seed == 7
    assert isinstance(layer().seed_generator, keras.random.SeedGenerator)


@pytest.mark.parametrize("layer", LAYERS)
def test_another_seed_is_refused(layer):
    with pytest.raises(TypeError, match=f"{layer.__name__}: seed must be None, an int or a SeedGenerator; got 'x'"):
        layer(seed="x")
