"""Networks that see and make latents of a frozen autoencoder."""

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
# Sets of latents kept in memory: those that are trained on, and those that training is validated with.
_SETS = 2
# What it takes of an autoencoder beside its networks.
_SIZES = ("channels", "latent_channels", "factor")
# Values of an image that count for a mean and a deviation are many: these images are enough.
_IMAGES_FOR_STANDARDS = 2048


@serializable
class LatentSpace(keras.layers.Layer):
    """The latents of an autoencoder, standardized: a generator for 128 pixels costs what one for 16 pixels costs.

    What networks see and make are grids `(height / factor, width / factor, latent_channels)`, each channel with a mean
    of 0 and a deviation of 1 over the training images [Rombach et al. 2022, "High-resolution image synthesis with
    latent diffusion models"]. `fit` encodes images in arrays once, before the first step, and keeps the latents in
    memory, or in a directory, `fit(..., latent_cache=directory)`; a step then touches neither encoder nor decoder.
    Images in batches, as of a `tf.data.Dataset`, are encoded in every step. `generate` decodes.

    The likelihoods of a VAE are those of latents. Metrics in `fit` and `evaluate` compare what is decoded with the real
    images as the autoencoder gives them back; `kgen.callbacks.EvaluateSamples` with the images themselves.

    The encoder and the decoder are copies of the autoencoder's averaged networks. They are frozen, and are saved with
    the model that has this space, and are in what it exports.

    Args:
        autoencoder: a trained `kgen.models.Autoencoder`, or the name or the directory of its preset: "tiny_f8".
        flip: whether `fit` also sees mirror images, of which it encodes one more view for every view.
        shift: in pixels; `fit` also sees images moved so far to the left, right, top and bottom: four more views. 0:
            none. One of the views is drawn in every step; validation sees the images themselves.
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
            # Of a config, which nobody else has.
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
        """False, whatever the model that has it is set to."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        pass

    def get_config(self) -> dict[str, Any]:
        """Both networks with their sizes, and which views there are."""
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("encoder", "decoder")}
        sizes = {name: getattr(self, name) for name in _SIZES}
        return {"name": self.name, "flip": self.flip, "shift": self.shift, **networks, **sizes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LatentSpace:
        """A space of networks like these."""
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")}
        autoencoder = SimpleNamespace(**networks, **{name: config[name] for name in _SIZES})
        return cls(autoencoder, **{name: config[name] for name in ("name", "flip", "shift")})

    # === Shapes ===
    def shape(self, owner: str, image_shape: ImageShape) -> ImageShape:
        """Shape of the latents of images of a shape.

        Raises:
            ValueError: for sides that the factor does not divide, or other channels.
        """
        *size, channels = image_shape
        if any(side % self.factor for side in size) or channels != self.channels:
            raise ValueError(
                f"{owner}: in this LatentSpace images have {self.channels} channels and sides that {self.factor} "
                f"divides; image_shape is {tuple(image_shape)}. Scale the images, or give space=PixelSpace()."
            )
        return *(side // self.factor for side in size), self.latent_channels

    def image_shape(self, owner: str, shape: ImageShape) -> ImageShape:
        """Shape of the images of latents of a shape.

        Raises:
            ValueError: for another number of channels.
        """
        if shape[-1] != self.latent_channels:
            raise ValueError(
                f"{owner}: networks in this LatentSpace see and make latents (height, width, {self.latent_channels}), "
                f"with sides {self.factor} times smaller than those of images; these are for {tuple(shape)}."
            )
        return *(side * self.factor for side in shape[:2]), self.channels

    def check(self, owner: str, reconstruction: Any = None) -> None:
        """Raises ValueError for a likelihood that only pixels have."""
        if getattr(reconstruction, "only_pixels", False):
            raise ValueError(
                f"{owner}: {type(reconstruction).__name__} is a likelihood of pixels; latents have no bounds. Give "
                "kgen.losses.Gaussian or another density."
            )

    def check_objective(self, owner: str, **parts: Any) -> None:
        """Raises ValueError for parts of an objective, by argument, that are about pixels, unless they are None."""
        for name, value in parts.items():
            if value is not None:
                hint = {
                    "augmentation": "LatentSpace(flip=True, shift=4) encodes more views of the images",
                    "perceptual": "an autoencoder may have learned from such features",
                }
                raise ValueError(
                    f"{owner}: {name} is of pixels, and this model learns in latents; leave it out ({hint[name]}), or "
                    "build the model with space=PixelSpace()."
                )

    # === Graphs ===
    def call(self, images: Tensor) -> Tensor:
        """As `encode`, so that the space can be a layer of a network."""
        return self.encode(images)

    def encode(self, images: Tensor) -> Tensor:
        """Standardized latents of images in [-1, 1], of any size that `factor` divides."""
        return self.standardized(self._latents(images))

    def standardized(self, latents: Tensor) -> Tensor:
        """Latents of the autoencoder, each channel over its deviation."""
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
        """One view of each image of standardized latents `(batch, views, h, w, channels)`; latents of one as they are.

        Args:
            latents: of one view or of several.
            seed: to draw the view by; None: the first one, of the images themselves.
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
        """How far standardized latents are from what is made of them, `(batch,)`, in deviations: about 1 at first."""
        return root_mean_square(latents, drawn)

    # === Latents of data ===
    def latents(
        self, images: pixels.NetworkImages, training: bool, cache: Any = None, verbose: Verbose = "auto"
    ) -> Array:
        """The latents of many images, computed once, not standardized yet.

        The first images to train on set the standards.

        Args:
            images: checked, `(N, height, width, channels)`.
            training: whether they are to be trained on: in all views, `(N, views, h, w, latent_channels)`, if there are
                several.
            cache: a directory to keep latents in, so that another run need not compute them; None: memory.
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
        # Those that were asked for last are kept.
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
        """Sets the standards to the mean and the deviation of each channel of latents of the autoencoder."""
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
        """Sets the standards by some images, where all are not at hand; keeps those that there are."""
        if not self.has_standards:
            self.adapt(self._computed(images, [(False, 0, 0)], verbose=0))

    def _views(self):
        """What is done to an image in each view: whether it is mirrored, and how far it is moved."""
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
    """Images mirrored and moved; at the border the last pixels are repeated."""
    images = images[:, :, ::-1] if flip else images
    margin = max(abs(down), abs(right))
    if margin:
        height, width = images.shape[1:3]
        images = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
        images = images[:, margin - down :][:, :height, margin - right :][:, :, :width]
    return np.ascontiguousarray(images)


def _file_of(directory, key):
    """The file of latents in a directory, which is made before hours may be spent on what goes there."""
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise type(error)(f"latent_cache: {directory} is no directory to write to ({error.strerror}).") from error
    return os.path.join(directory, f"latents-{key}.npy")


def _checksum(images, weights, views):
    """What tells images, an autoencoder and views from others."""
    digest = hashlib.blake2b(f"{images.images.shape}{views}".encode(), digest_size=12)
    for start in range(0, len(images), 256):
        digest.update(np.ascontiguousarray(images[start : start + 256]))
    for weight in weights:
        digest.update(weight.tobytes())
    return digest.hexdigest()
