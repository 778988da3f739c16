"""That a model trains alike with it is in tests/distributed/test_sharding.py."""

import keras
import pytest

from kgen.models import VAE
from kgen.training import layout_map
from tests.models import tiny


def mesh(devices):
    return keras.distribution.DeviceMesh((1, devices), ["batch", "model"], [f"cpu:{i}" for i in range(devices)])


def test_kernels_of_a_network_and_of_its_average_and_no_others():
    made, again = (VAE.from_image_shape((16, 16, 3)) for _ in range(2))
    layouts = layout_map(made.decoder, mesh(2))
    # It holds for another model of this kind, whose networks have a number after their names.
    for model in (made, again):
        for network, is_in_parts in ((model.decoder, True), (model.average.network, True), (model.encoder, False)):
            for variable in network.variables:
                divided = is_in_parts and len(variable.shape) > 1 and variable.shape[-1] % 2 == 0
                layout = layouts[variable.path]
                assert (None if layout is None else layout.axes) == (
                    (*[None] * (len(variable.shape) - 1), "model") if divided else None
                ), variable.path


def test_meshes_and_networks_that_do_not_fit():
    with pytest.raises(ValueError, match="layout_map: the device mesh has the axes .*; got axis='columns'"):
        layout_map(tiny.decoder(), mesh(2), axis="columns")
    with pytest.raises(ValueError, match="layout_map: the network .* has no kernel .* among 1009 devices"):
        layout_map(tiny.decoder(), mesh(1009))
