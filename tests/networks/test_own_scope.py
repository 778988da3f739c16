import keras
import pytest

from kgen.networks.own_scope import in_own_scope
from tests.models import tiny


@in_own_scope
def lifted(width, name=None):
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(width, name="lift")(inputs))


@pytest.mark.backends
def test_paths_begin_with_the_name():
    assert lifted(3, name="encoder").variables[0].path == "encoder/lift/kernel"
    # As is the function's name, where there is none.
    assert lifted(3).variables[0].path == "lifted/lift/kernel"
    with keras.name_scope("outer"):
        assert lifted(3, "inner").variables[0].path == "outer/inner/lift/kernel"


@pytest.mark.backends
def test_paths_of_variables_are_unique():
    for model in (tiny.vae(), *make_defaults()):
        paths = [variable.path for variable in model.variables]
        assert len(set(paths)) == len(paths)


def make_defaults():
    from kgen.models import GAN, VAE, CycleGAN

    yield VAE.from_image_shape((16, 16, 3))
    yield GAN.from_image_shape((16, 16, 3))
    yield CycleGAN((16, 16, 3))
