"""The latents of a frozen autoencoder, as the space that networks work in."""

from __future__ import annotations

import hashlib
import os
import warnings
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.files import whole_file
from kgen.inputs import pixels
from kgen.presets import load_preset
from kgen.progress import Progress
from kgen.serializable import serializable
from kgen.spaces.pixel_space import root_mean_square
from kgen.training import backend, network_copy
from kgen.types import Array, ImageShape, Tensor, Verbose

# Images encoded at once.
_BATCH = 16
# Sets of latents kept in memory: one for training, one for validation.
_SETS = 2
# Attributes that it takes from an autoencoder, besides the networks.
_SIZES = ("channels", "latent_channels", "factor")
# Each image has many values, so this many images are enough for a mean and a deviation.
_IMAGES_FOR_STANDARDS = 2048


@serializable
class LatentSpace(keras.layers.Layer):
    """The latents of an autoencoder, standardized: a generator for 128 pixels costs what one for 16 pixels costs.

    Networks see and make grids `(height / factor, width / factor, latent_channels)`. Each channel has a mean of 0 and a
    deviation of 1 over the training images [Rombach et al. 2022, "High-resolution image synthesis with latent diffusion
    models"]. `fit` encodes arrays of images once, before the first step, and keeps the latents in memory, or in a
    directory with `fit(..., latent_cache=directory)`; training steps then use neither encoder nor decoder. Batches of
    images, such as a `tf.data.Dataset`, are encoded in every step. `generate` decodes.

    The likelihoods of a VAE are then likelihoods of latents. Metrics in `fit` and `evaluate` compare decoded images
    with the autoencoder's reconstructions of real images; `kgen.callbacks.EvaluateSamples` with the images themselves.

    The encoder and the decoder are frozen copies of the autoencoder's averaged networks. They are part of the saved
    model and its exports.

    Args:
        autoencoder: a trained `kgen.models.Autoencoder`, or the name or the directory of its preset: "tiny_f8".
        flip: whether `fit` also sees mirror images: twice as many views of each image.
        shift: in pixels; `fit` also sees images moved this far to the left, right, top and bottom: four more views. 0:
            none. Each step draws one of the views; validation uses the images themselves.
        **kwargs: `name`.

    Raises:
        TypeError: if `autoencoder` is something else.
        ValueError: for an unknown preset, or a negative shift.

    Example:

    ```python
    space = kgen.spaces.LatentSpace("tiny_f8")
    model = kgen.models.TextToImage(encoder, image_shape=(128, 128, 3), space=space)
    model.compile()
    model.fit(images, captions, epochs=50)
    model.generate("a red apple")        # uint8 (128, 128, 3)
    ```
    """

    stores = True
    error_name = "latent_error"
    # Latents have no bounds.
    output_activation = "linear"

    def __init__(self, autoencoder: Any, flip: bool = False, shift: int = 0, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        if isinstance(autoencoder, (str, os.PathLike)):
            autoencoder = load_preset(autoencoder)
        if not hasattr(autoencoder, "latent_channels"):
            raise TypeError(
                "LatentSpace: autoencoder must be a kgen.models.Autoencoder, or the name of its preset; got "
                f"{autoencoder!r}."
            )
        if isinstance(autoencoder, SimpleNamespace):
            # From a config: nobody else holds these networks, so no copy is needed.
            self.encoder, self.decoder = autoencoder.encoder, autoencoder.decoder
        else:
            self.encoder = network_copy(autoencoder.encoder_average.network)
            self.decoder = network_copy(autoencoder.average.network)
        self.encoder.trainable = self.decoder.trainable = False
        self.channels, self.latent_channels = autoencoder.channels, autoencoder.latent_channels
        self.factor = autoencoder.factor
        self.flip = bool(flip)
        self.shift = checks.integer("LatentSpace", "shift", shift, least=0)
        for name, start in (("mean", "zeros"), ("deviation", "ones")):
            weight = self.add_weight(shape=(self.latent_channels,), initializer=start, trainable=False, name=name)
            setattr(self, name, weight)
        self.adapted = self.add_weight(shape=(), initializer="zeros", trainable=False, name="adapted")
        self.built = True
        self._kept: dict[str, Array] = {}
        self._compiled: Any = None

    @property
    def trainable(self) -> bool:
        """Always False, even if the model around it is set to True."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        pass

    def get_config(self) -> dict[str, Any]:
        """Both networks with their sizes, and the views."""
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("encoder", "decoder")}
        sizes = {name: getattr(self, name) for name in _SIZES}
        return {"name": self.name, "flip": self.flip, "shift": self.shift, **networks, **sizes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LatentSpace:
        """A space from what `get_config` gave."""
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")}
        autoencoder = SimpleNamespace(**networks, **{name: config[name] for name in _SIZES})
        return cls(autoencoder, **{name: config[name] for name in ("name", "flip", "shift")})

    # === Shapes ===
    def shape(self, owner: str, image_shape: ImageShape) -> ImageShape:
        """Shape of the latents for images of this shape.

        Raises:
            ValueError: for sides that the factor does not divide, or another number of channels.
        """
        *size, channels = image_shape
        if any(side % self.factor for side in size) or channels != self.channels:
            raise ValueError(
                f"{owner}: this LatentSpace needs images with {self.channels} channels and sides divisible by "
                f"{self.factor}; got image_shape {tuple(image_shape)}. Resize the images, or give space=PixelSpace()."
            )
        return *(side // self.factor for side in size), self.latent_channels

    def image_shape(self, owner: str, shape: ImageShape) -> ImageShape:
        """Shape of the images for latents of this shape.

        Raises:
            ValueError: for another number of channels.
        """
        if shape[-1] != self.latent_channels:
            raise ValueError(
                f"{owner}: networks in this LatentSpace must be for latents (height, width, {self.latent_channels}), "
                f"with sides {self.factor} times smaller than those of images; got {tuple(shape)}."
            )
        return *(side * self.factor for side in shape[:2]), self.channels

    def check(self, owner: str, reconstruction: Any = None) -> None:
        """Raises ValueError for a likelihood that is for pixels only."""
        if getattr(reconstruction, "only_pixels", False):
            raise ValueError(
                f"{owner}: {type(reconstruction).__name__} is only for pixels, because latents have no bounds. Give "
                "kgen.losses.Gaussian or another density."
            )

    def check_objective(self, owner: str, **parts: Any) -> None:
        """Raises ValueError if one of these parts of an objective, by argument name, is given: they are for pixels."""
        for name, value in parts.items():
            if value is not None:
                hint = {
                    "augmentation": "LatentSpace(flip=True, shift=4) encodes more views of the images",
                    "perceptual": "an autoencoder may have learned from such features",
                }
                raise ValueError(
                    f"{owner}: {name} works on pixels, but this model learns in latents. Leave it out "
                    f"({hint[name]}), or build the model with space=PixelSpace()."
                )

    # === Graphs ===
    def call(self, images: Tensor) -> Tensor:
        """The same as `encode`, so that the space can be a layer of a network."""
        return self.encode(images)

    def encode(self, images: Tensor) -> Tensor:
        """Standardized latents of images in [-1, 1], of any size that `factor` divides."""
        return self.standardized(self._latents(images))

    def standardized(self, latents: Tensor) -> Tensor:
        """Latents of the autoencoder, each channel minus its mean and over its deviation."""
        return (ops.cast(latents, "float32") - self.mean) / self.deviation

    def decode(self, values: Tensor) -> Tensor:
        """Images in about [-1, 1] of standardized latents."""
        return ops.cast(self.decoder(values * self.deviation + self.mean, training=False), "float32")

    def _latents(self, images):
        encoded = ops.cast(self.encoder(images, training=False), "float32")
        return encoded[..., : self.latent_channels]

    def location(self, reconstruction: Any, outputs: Tensor) -> Tensor:
        """The standardized latents that a network's outputs stand for."""
        return ops.split(outputs, reconstruction.channels, axis=-1)[0]

    def viewed(self, latents: Tensor, seed: keras.random.SeedGenerator | None = None) -> Tensor:
        """One view of each image, `(batch, h, w, channels)`.

        Args:
            latents: standardized, `(batch, views, h, w, channels)`; without a views axis they stay as they are.
            seed: draws the view; None takes the first one, that of the image itself.
        """
        if len(latents.shape) < 5:
            return latents
        if seed is None:
            return latents[:, 0]
        views = latents.shape[1]
        chosen = keras.random.randint((ops.shape(latents)[0],), 0, views, seed=seed)
        weights = ops.one_hot(chosen, views, dtype="float32")
        return ops.einsum("bv,bvhwc->bhwc", weights, latents)

    def error(self, latents: Tensor, drawn: Tensor) -> Tensor:
        """How far drawn latents are from the real ones, `(batch,)`, in deviations: about 1 at first."""
        return root_mean_square(latents, drawn)

    # === Latents of data ===
    def latents(
        self, images: pixels.NetworkImages, training: bool, cache: Any = None, verbose: Verbose = "auto"
    ) -> Array:
        """The latents of many images, computed once, not yet standardized.

        The first training images set the standards.

        Args:
            images: checked, `(N, height, width, channels)`.
            training: whether they are training images. These are encoded in all views; if there are several, the
                latents are `(N, views, h, w, latent_channels)`.
            cache: a directory that keeps the latents for another run; None: memory.
            verbose: as in `fit`.
        """
        views = self._views() if training else [(False, 0, 0)]
        key = f"{_checksum(images, self.encoder.get_weights(), views)}-{len(images)}"
        latents: Any = self._kept.get(key)
        if latents is None:
            file = None if cache is None else _file_of(cache, key)
            latents = None if file is None else self._read(file, images, views)
            if latents is None:
                latents = self._computed(images, views, verbose)
                if file is not None:
                    with whole_file(file) as partial:
                        np.save(partial, latents)
        # Keeps the most recent ones.
        others = [(name, value) for name, value in self._kept.items() if name != key]
        self._kept = dict([*others, (key, latents)][-_SETS:])
        if training and not self.has_standards:
            self.adapt(latents)
        return latents

    def _read(self, file, images, views):
        """The latents in a file; None, with a warning, if it is damaged."""
        if not os.path.exists(file):
            return None
        grid = self.shape("LatentSpace", images.images.shape[1:])
        shape = (len(images), *([len(views)] if len(views) > 1 else []), *grid)
        try:
            latents = np.load(file, mmap_mode="r")
            if latents.shape == shape and latents.dtype == np.float32:
                return latents
            problem = f"it holds {latents.dtype} of shape {latents.shape}, not float32 of {shape}"
        except (ValueError, EOFError, OSError) as error:
            problem = str(error)
        warnings.warn(f"LatentSpace: {file} is damaged; its latents are computed again. {problem}", stacklevel=5)
        return None

    def adapt(self, latents: Array) -> None:
        """Sets the standards: mean and deviation of each channel of these latents of the autoencoder."""
        rows = np.random.default_rng(0).permutation(len(latents))[:_IMAGES_FOR_STANDARDS]
        some = np.asarray(latents[np.sort(rows)], "float64").reshape((-1, self.latent_channels))
        self.mean.assign(some.mean(axis=0).astype("float32"))
        self.deviation.assign(np.maximum(some.std(axis=0), 1e-3).astype("float32"))
        self.adapted.assign(1.0)

    @property
    def has_standards(self) -> bool:
        """Whether images have set the mean and the deviation."""
        return bool(ops.convert_to_numpy(self.adapted))

    def adapt_to_images(self, images: pixels.NetworkImages) -> None:
        """Sets the standards from some images, when not all are at hand; keeps standards that are already set."""
        if not self.has_standards:
            self.adapt(self._computed(images, [(False, 0, 0)], verbose=0))

    def _views(self):
        """For each view whether it is mirrored, and how far it is moved down and right."""
        moves = [(0, 0)]
        if self.shift:
            moves += [(self.shift, 0), (-self.shift, 0), (0, self.shift), (0, -self.shift)]
        return [(flip, *move) for flip in ((False, True) if self.flip else (False,)) for move in moves]

    def _computed(self, images, views, verbose):
        if self._compiled is None:
            self._compiled = backend.compiled(self._encode_graph, lambda: self.variables)
        progress, results = Progress(len(images) * len(views), "latent", verbose), None
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            parts = [self._compiled({"images": _view(batch, *view)}) for view in views]
            part = np.stack(parts, axis=1) if len(views) > 1 else parts[0]
            if results is None:
                results = np.empty((len(images), *part.shape[1:]), "float32")
            results[start : start + _BATCH] = part
            progress.add(len(batch) * len(views))
        return results

    def _encode_graph(self, inputs):
        return self._latents(pixels.in_network_range(inputs["images"]))


def _view(images, flip, down, right):
    """Images mirrored and moved; border pixels are repeated."""
    images = images[:, :, ::-1] if flip else images
    margin = max(abs(down), abs(right))
    if margin:
        height, width = images.shape[1:3]
        images = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
        images = images[:, margin - down :][:, :height, margin - right :][:, :, :width]
    return np.ascontiguousarray(images)


def _file_of(directory, key):
    """The file of latents in a directory, which is made now, before hours go into computing the latents."""
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise type(error)(f"latent_cache: cannot write to the directory {directory} ({error.strerror}).") from error
    return os.path.join(directory, f"latents-{key}.npy")


def _checksum(images, weights, views):
    """A checksum of images, the autoencoder's weights and the views."""
    digest = hashlib.blake2b(f"{images.images.shape}{views}".encode(), digest_size=12)
    for start in range(0, len(images), 256):
        digest.update(np.ascontiguousarray(images[start : start + 256]))
    for weight in weights:
        digest.update(weight.tobytes())
    return digest.hexdigest()
