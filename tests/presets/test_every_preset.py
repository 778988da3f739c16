"""What all presets that ship owe."""

import warnings

import pytest

from kgen.presets import load_preset, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_it_is_read_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_preset(name)
