"""Weights of a network that several devices share out, on JAX."""

from __future__ import annotations

import re

import keras


def layout_map(
    network: keras.Model, device_mesh: keras.distribution.DeviceMesh, axis: str = "model"
) -> keras.distribution.LayoutMap:
    """Where the weights of a network, and its average's, are in a model that is too large for one device.

    Of each kernel, each device of the mesh's axis keeps a part of the output channels, if it divides their number; so
    it does with what an optimizer remembers of it. All else of the model is on every device. What is computed stays the
    same. The map holds for a model that is made, or loaded, while `keras.distribution.ModelParallel` is set; a small
    batch axis costs the least time, as every kernel makes the devices talk.

    Variables are known by their paths, which begin with the name of their network. It should be unlike the names of the
    other networks in the model, as it is in all that kgen makes.

    Args:
        network: a built network of a model like the one to be made, such as `model.generator`.
        device_mesh: a `keras.distribution.DeviceMesh` with the axis.
        axis: name of an axis of the mesh.

    Raises:
        ValueError: if the mesh has no such axis, or the network no kernel that it divides.

    Example:

    ```python
    mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))      # 8 devices
    layouts = kgen.training.layout_map(model.generator, mesh)
    with keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch").scope():
        model = keras.saving.load_model("model.keras")
    ```
    """
    if axis not in device_mesh.axis_names:
        raise ValueError(f"layout_map: the device mesh has the axes {list(device_mesh.axis_names)}; got axis={axis!r}.")
    devices = device_mesh.shape[device_mesh.axis_names.index(axis)]
    layouts = keras.distribution.LayoutMap(device_mesh)
    for variable in network.trainable_variables:
        shape = variable.shape
        if len(shape) < 2 or shape[-1] % devices:
            continue
        # A loaded model, and an average, put other names before that of the network. A network that was given no name
        # has its class in its paths, and a copy of it its name, with a number if it is not the first.
        own = variable.path[max(variable.path.rfind(f"{network.name}/"), 0) :]
        begin, _, rest = (re.escape(each) for each in own.partition("/"))
        name = re.escape(re.sub(r"_\d+$", "", network.name))
        layouts[f"(.*/)?({begin}|{name}(_[0-9]+)?)/{rest}"] = (*[None] * (len(shape) - 1), axis)
    if not len(layouts):
        raise ValueError(
            f"layout_map: no kernel of the network {network.name!r} has a number of output channels that {devices} "
            "devices divide. Give it other filters, or the mesh another shape."
        )
    return layouts
