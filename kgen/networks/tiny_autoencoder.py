"""A small convolutional encoder and decoder for images of any size, and a reader for published ones."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from kgen import checks
from kgen.networks.own_scope import in_own_scope
from kgen.torch_checkpoint import read_torch_checkpoint
from kgen.types import Tensor

_FACTORS = (1, 2, 4, 8, 16, 32)


@in_own_scope
def tiny_encoder(
    channels: int = 3,
    latent_channels: int = 32,
    factor: int = 8,
    filters: int | Sequence[int] = 64,
    blocks: int | Sequence[int] = 3,
    normalization: bool = False,
    name: str = "encoder",
) -> keras.Model:
    """Images of any size to a grid of latents, by 3x3 convolutions that all have the same number of channels.

    The encoder of TAESD, the tiny autoencoder of Stable Diffusion [Bohan 2023]: residual blocks of three convolutions
    with ReLU; strided convolutions between them. For means and log-variances, ask for twice the `latent_channels`.

    Args:
        channels: channels of the images.
        latent_channels: channels of the output.
        factor: how many times smaller the grid's sides are, a power of 2.
        filters: channels of the convolutions; a sequence gives one number per size, from the images' to the grid's.
        blocks: residual blocks at each size except the images', which has one; or a sequence like `filters`.
        normalization: whether the blocks at the smallest size first add a branch of 1x1 convolutions with group
            normalisation, which sees the whole image, as in TAEF2.
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, H, W, channels)` in [-1, 1] to float32
        `(batch, H / factor, W / factor, latent_channels)`. `factor` must divide H and W.

    Raises:
        ValueError: for an unsupported factor, a number below 1, or a sequence of the wrong length.

    Example:

    ```python
    encoder = kgen.networks.tiny_encoder(latent_channels=8)
    encoder(keras.random.normal((1, 64, 96, 3))).shape      # (1, 8, 12, 8)
    ```
    """
    widths, depths = _sizes("tiny_encoder", factor, filters, blocks)
    inputs = keras.Input((None, None, checks.integer("tiny_encoder", "channels", channels)), name="images")
    build, last = _Builder(), len(widths) - 1
    x = layers.Rescaling(0.5, offset=0.5, name="to_unit")(inputs)
    for stage in range(last + 1):
        if stage:
            # Not padding="same", which pads even sides only at their end.
            x = layers.ZeroPadding2D(1, data_format="channels_last", name=f"border_{stage}")(x)
            x = build.convolution(x, widths[stage], strides=2, padding="valid", use_bias=False)
        else:
            x = build.convolution(x, widths[stage])
        for _ in range(depths[stage]):
            x = build.block(x, normalization and 0 < stage == last)
    latent_channels = checks.integer("tiny_encoder", "latent_channels", latent_channels)
    return keras.Model(inputs, build.convolution(x, latent_channels, dtype="float32"), name=name)


@in_own_scope
def tiny_decoder(
    channels: int = 3,
    latent_channels: int = 32,
    factor: int = 8,
    filters: int | Sequence[int] = 64,
    blocks: int | Sequence[int] = 3,
    normalization: bool = False,
    name: str = "decoder",
) -> keras.Model:
    """A grid of latents to images: the mirror image of `tiny_encoder`, with nearest-neighbour upsampling.

    Args:
        channels, latent_channels, factor, filters, blocks, normalization, name: as in `tiny_encoder`.

    Returns:
        A `keras.Model` from latents `(batch, h, w, latent_channels)`, softly limited to [-3, 3], to float32 images
        `(batch, factor * h, factor * w, channels)`, in [-1, 1] once it is trained.

    Raises:
        ValueError: for an unsupported factor, a number below 1, or a sequence of the wrong length.

    Example:

    ```python
    decoder = kgen.networks.tiny_decoder(latent_channels=4)
    decoder(keras.random.normal((1, 8, 12, 4))).shape       # (1, 64, 96, 3)
    ```
    """
    widths, depths = _sizes("tiny_decoder", factor, filters, blocks)
    latent_channels = checks.integer("tiny_decoder", "latent_channels", latent_channels)
    inputs = keras.Input((None, None, latent_channels), name="latents")
    build, last = _Builder(), len(widths) - 1
    x = layers.Activation("tanh", name="limit")(layers.Rescaling(1 / 3, name="from_three")(inputs))
    x = layers.ReLU(name="relu")(build.convolution(layers.Rescaling(3.0, name="to_three")(x), widths[last]))
    for stage in reversed(range(last + 1)):
        if stage < last:
            x = layers.UpSampling2D(2, data_format="channels_last", name=f"double_{last - stage}")(x)
            x = build.convolution(x, widths[stage], use_bias=False)
        for _ in range(depths[stage]):
            x = build.block(x, normalization and 0 < stage == last)
    x = build.convolution(x, checks.integer("tiny_decoder", "channels", channels), dtype="float32")
    return keras.Model(inputs, layers.Rescaling(2.0, offset=-1.0, dtype="float32", name="from_unit")(x), name=name)


def read_tiny_autoencoder(encoder: str | os.PathLike, decoder: str | os.PathLike) -> tuple[keras.Model, keras.Model]:
    """The networks of a published tiny autoencoder: TAESD, TAESDXL, TAESD3, TAEF1 or TAEF2.

    Args:
        encoder, decoder: its two files, `.pth` of torch.save or `.safetensors`; torch is not needed.

    Returns:
        `(encoder, decoder)`, a `tiny_encoder` and a `tiny_decoder` with these weights, in float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: for a `.safetensors` file where safetensors is not installed.
        ValueError: if a file holds something else.

    Example:

    ```python
    encoder, decoder = kgen.networks.read_tiny_autoencoder("taef2_encoder.pth", "taef2_decoder.pth")
    ```
    """
    return _read(tiny_encoder, encoder), _read(tiny_decoder, decoder)


class _Builder:
    """Makes the parts of a network, with numbered names."""

    def __init__(self):
        self.convolutions = self.blocks = 0

    def convolution(self, x: Tensor, filters: int, **options: Any) -> Tensor:
        self.convolutions += 1
        return _convolution(filters, name=f"convolution_{self.convolutions}", **options)(x)

    def block(self, x: Tensor, normalization: bool = False) -> Tensor:
        self.blocks += 1
        name, filters = f"block_{self.blocks}", x.shape[-1]
        if normalization:
            branch = _convolution(4 * filters, 1, use_bias=False, name=f"{name}_pool_0")(x)
            branch = layers.GroupNormalization(4, epsilon=1e-5, name=f"{name}_pool_1")(branch)
            branch = _convolution(filters, 1, use_bias=False, name=f"{name}_pool_3")(layers.ReLU()(branch))
            x = layers.Add(name=f"{name}_pool")([x, branch])
        h = _convolution(filters, activation="relu", name=f"{name}_conv_0")(x)
        h = _convolution(filters, activation="relu", name=f"{name}_conv_2")(h)
        h = _convolution(filters, name=f"{name}_conv_4")(h)
        return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, h]))


def _convolution(filters, kernel_size=3, padding="same", **options):
    return layers.Conv2D(filters, kernel_size, padding=padding, data_format="channels_last", **options)


def _sizes(owner, factor, filters, blocks):
    """Lists of filters and of blocks, for each size from the images' to the grid's."""
    if factor not in _FACTORS:
        raise ValueError(f"{owner}: factor must be one of {', '.join(map(str, _FACTORS))}; got {factor!r}.")
    sizes = _FACTORS.index(factor) + 1
    lists = []
    for name, value in (("filters", filters), ("blocks", blocks)):
        if not isinstance(value, Sequence):
            value = [1 if name == "blocks" else value] + [value] * (sizes - 1)
        if len(value) != sizes:
            raise ValueError(f"{owner}: {name} must be an integer, or {sizes}, one for each size; got {value!r}.")
        lists.append([checks.integer(owner, name, each) for each in value])
    return lists


def _read(network_of, path):
    tensors = _renamed(path, _tensors(path))
    names = sorted((n for n in tensors if n.startswith("convolution") and n.endswith("weight")), key=_number)
    plain = [tensors[name] for name in names]
    blocks = {_number(name) for name in tensors if name.startswith("block")}
    stages = len(plain) - 2
    try:
        if stages < 1:
            raise ValueError(f"{len(plain)} convolutions outside of blocks")
        first, last = plain[0].shape[1], plain[-1].shape[0]
        # All sizes but the largest have the same number of blocks.
        sizes = {"factor": _FACTORS[stages], "filters": plain[0].shape[0], "blocks": (len(blocks) - 1) // stages}
        channels, latent_channels = (first, last) if network_of is tiny_encoder else (last, first)
        normalization = any("_pool_" in name for name in tensors)
        network = network_of(channels, latent_channels, normalization=normalization, **sizes)
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"read_tiny_autoencoder: {path} does not hold a network like TAESD's.") from error
    for layer in network.layers:
        wanted = [variable.path.rsplit("/", 1)[1] for variable in layer.weights]
        arrays = [_keras_array(tensors.pop(f"{layer.name}/{_TORCH_NAMES[name]}", None)) for name in wanted]
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if [getattr(array, "shape", None) for array in arrays] != shapes:
            raise ValueError(f"read_tiny_autoencoder: {path} has no tensors of shapes {shapes} for {layer.name}.")
        layer.set_weights(arrays)
    if tensors:
        raise ValueError(f"read_tiny_autoencoder: {path} has tensors that are not TAESD's: {', '.join(tensors)}.")
    return network


_TORCH_NAMES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def _number(name):
    return int(re.search(r"\d+", name)[0])


def _keras_array(array):
    # torch keeps kernels as (out, in, height, width).
    return array.transpose(2, 3, 1, 0) if array is not None and array.ndim == 4 else array


def _tensors(path):
    if not os.fspath(path).endswith(".safetensors"):
        return read_torch_checkpoint(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"read_tiny_autoencoder: there is no file {os.fspath(path)!r}.")
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ImportError(f"read_tiny_autoencoder: to read {path}: pip install safetensors") from error
    return load_file(path)


def _renamed(path, tensors):
    """A dict from `<layer>/weight` or `/bias`, in the names of `_Builder`, to float32 arrays."""
    pattern = re.compile(r"(?:[a-z_]+\.)*(\d+)\.(?:((?:conv|pool)\.\d+)\.)?(weight|bias)")
    matches = [pattern.fullmatch(name) for name in tensors]
    if None in matches:
        unknown = list(tensors)[matches.index(None)]
        raise ValueError(f"read_tiny_autoencoder: {path} does not hold a network like TAESD's: it has {unknown!r}.")
    # torch numbers modules by their place in a Sequential; here convolutions and blocks are counted separately.
    modules = sorted({(int(match[1]), match[2] is not None) for match in matches})
    numbers = {place: 1 + sum(kind == block for other, kind in modules if other < place) for place, block in modules}
    renamed = {}
    for match, array in zip(matches, tensors.values()):
        number, part = numbers[int(match[1])], match[2]
        layer = f"block_{number}_{part.replace('.', '_')}" if part else f"convolution_{number}"
        renamed[f"{layer}/{match[3]}"] = np.asarray(array, "float32")
    return renamed
