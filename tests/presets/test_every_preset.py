"""What all presets that ship owe."""

import warnings

import keras
import pytest

from kgen.presets import load_preset, preset_description, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_it_is_read_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = load_preset(name)
    assert keras.saving.get_registered_name(type(model)) == preset_description(name)["class"]
    assert model.count_params() == preset_description(name)["parameters"]
