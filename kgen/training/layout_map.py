"""Splitting a network's weights over several devices, on JAX."""

from __future__ import annotations

import re

import keras


def layout_map(
    network: keras.Model, device_mesh: keras.distribution.DeviceMesh, axis: str = "model"
) -> keras.distribution.LayoutMap:
    """How to split the weights of a network and of its moving average, for a model that is too large for one device.

    The output channels of each kernel, and of its optimizer state, are split over the devices of the mesh's axis if
    they divide evenly. Everything else in the model is on every device. Results stay the same. The map applies to a
    model that is made or loaded while `keras.distribution.ModelParallel` is set. A small batch axis costs the least
    time, because the devices must communicate for every kernel.

    Variables are found by their paths, which begin with the name of their network. This name should be unlike those of
    the model's other networks, as it is in all models that kgen makes.

    Args:
        network: a built network of a model like the one to be made, such as `model.generator`.
        device_mesh: a `keras.distribution.DeviceMesh` with the axis.
        axis: name of an axis of the mesh.

    Raises:
        ValueError: if the mesh has no such axis, or if no kernel of the network can be split over it.

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
        # In a loaded model and in an average, other names come before the network's. The paths of a network without a
        # given name have its class; those of a copy have its name, with a number if it is not the first copy.
        own = variable.path[max(variable.path.rfind(f"{network.name}/"), 0) :]
        begin, _, rest = (re.escape(each) for each in own.partition("/"))
        name = re.escape(re.sub(r"_\d+$", "", network.name))
        layouts[f"(.*/)?({begin}|{name}(_[0-9]+)?)/{rest}"] = (*[None] * (len(shape) - 1), axis)
    if not len(layouts):
        raise ValueError(
            f"layout_map: the network {network.name!r} has no kernel whose output channels can be divided among "
            f"{devices} devices. Change its filters, or the shape of the mesh."
        )
    return layouts
