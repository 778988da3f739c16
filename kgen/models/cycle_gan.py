"""Translates images of one domain into another; learned without pairs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgen import networks
from kgen.inputs import PairInput, pixels
from kgen.layers.borders import in_whole_multiples
from kgen.models.image_model import ImageModel
from kgen.networks.interface import check_discriminator
from kgen.objectives.cycle_consistency import CycleConsistency
from kgen.serializable import arguments_of, serializable
from kgen.training import MovingAverage, network_copy
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


@serializable
class CycleGAN(ImageModel):
    """Translates images x of one domain into the domain of images y, and back: `fit(x, y)`.

    Horses as zebras, photos as paintings: no image needs a counterpart. A generator G makes images of the second domain
    from x, an inverse generator F makes images of the first domain from y, and each domain has a discriminator. An
    image that goes there and back should come back unchanged [Zhu et al. 2017, "Unpaired image-to-image translation
    using cycle-consistent adversarial networks"]:

        L = adversarial(G(x)) + adversarial(F(y)) + cycle_weight * (|F(G(x)) - x| + |G(F(y)) - y|)
            + identity_weight * (|G(y) - y| + |F(x) - x|)

    where |.| is the mean over pixels in [-1, 1]. The weights of both generators are averaged, and the averages
    translate. `StyleTransfer` needs no training for a new style; this model learns what is typical of a whole domain.

    Args:
        image_shape: `(height, width, channels)` of the images of `fit`; height and width even.
        generator: built `keras.Model` from images in [0, 1] to images of the same shape, perhaps of any size; None: a
            `kgen.networks.restoration_network`, which at first changes nothing.
        inverse_generator: the same for the way back; None: a copy of the generator's architecture.
        discriminator: network from images in [-1, 1] of `image_shape` to logits `(batch, 1)`, for the second domain;
            None: a `kgen.networks.MultiscaleEncoder`.
        inverse_discriminator: the same for the first domain; None: a copy of the discriminator's architecture.
        ema_momentum: momentum of the averages of the generators' weights, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if a part is not a network.
        ValueError: if a network's shapes do not fit `image_shape`.

    Example:

    ```python
    model = kgen.models.CycleGAN((64, 64, 3))
    model.compile()
    model.fit(summer, winter, batch_size=4, epochs=20)
    model.translate(photo)                       # uint8, the photo in winter
    model.translate(photos, inverse=True)        # those of winter, in summer
    ```
    """

    generates = pairs = True
    predicts_by = "translate"
    image_input: PairInput

    def __init__(
        self,
        image_shape: ImageShape = (64, 64, 3),
        generator: keras.Model | None = None,
        inverse_generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        inverse_discriminator: keras.Model | None = None,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        height, width, channels = image_shape
        self.image_shape = image_shape = (height, width, channels)
        # === Layers ===
        if generator is None:
            generator = networks.restoration_network(image_shape[-1], filters=32, blocks=6)
        if discriminator is None:
            discriminator = networks.MultiscaleEncoder(image_shape, 1, filters=128)
        if inverse_generator is None:
            with keras.name_scope("inverse"):
                inverse_generator = network_copy(generator, weights=False)
        if inverse_discriminator is None:
            with keras.name_scope("inverse"):
                inverse_discriminator = network_copy(discriminator, weights=False)
        self.generator = _checked(generator, "generator", image_shape)
        self.inverse_generator = _checked(inverse_generator, "inverse_generator", image_shape)
        self.discriminator, self.inverse_discriminator = discriminator, inverse_discriminator
        for each in (self.discriminator, self.inverse_discriminator):
            check_discriminator("CycleGAN", each, image_shape)
        self.average = MovingAverage(self.generator, ema_momentum)
        self.inverse_average = MovingAverage(self.inverse_generator, ema_momentum)
        self.ema_momentum = ema_momentum
        # === Parts ===
        self.image_input = PairInput("CycleGAN", image_shape, self.float_scale)
        self.use_objective(CycleConsistency())
        self.built = True

    # === Training ===
    def compile(
        self,
        optimizer: Any = "auto",
        loss: Any = "least_squares",
        penalties: Any = (),
        cycle_weight: float = 2.0,
        identity_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 2e-4, beta_1 0.5), one optimizer, or a dict with `discriminator` and `generator`:
                one for both discriminators, one for both generators.
            loss, penalties: as in `GAN.compile`; the paper uses least squares and no penalty.
            cycle_weight: weight of the difference between images and the same images translated there and back. The
                paper's 10, with 5 for identity, suits generators with random first weights; the default one starts by
                changing nothing, and 10 would hold it there.
            identity_weight: weight of the difference between images and their translation into their own domain,
                which keeps colours; 0 leaves it out.
            **kwargs: `metrics` from `kgen.metrics`, computed in `evaluate` and on the validation data of `fit`. They
                compare images of the second domain with translated ones; paired metrics compare images of the first
                domain with the same images translated there and back. `run_eagerly`, `steps_per_execution`,
                `jit_compile`.

        Raises:
            ValueError: for an unknown loss, or a negative weight.
        """
        self.use_objective(CycleConsistency(loss, penalties, cycle_weight, identity_weight))
        super().compile(optimizer, config=arguments_of(self.objective), **kwargs)

    def translators(self, training: bool) -> list[Callable[[Tensor], Tensor]]:
        """The two generators in training, else their averages, from and to images in [-1, 1]."""
        pair = (self.generator, self.inverse_generator) if training else (self.average, self.inverse_average)
        return [functools.partial(_translated, each, training=training) for each in pair]

    def after_step(self) -> None:
        """Updates the averaged generators."""
        self.average.update(self.generator)
        self.inverse_average.update(self.inverse_generator)

    def counterparts(self, batch: dict[str, Tensor], paired: bool) -> tuple[Tensor, Tensor]:
        """Images of the second domain and translated ones; `paired`: images of the first, also there and back."""
        translate, invert = self.translators(training=False)
        images = batch["images"]
        if paired:
            return images, invert(translate(images))
        return self.image_input.second_of(batch, self.seeds(False)), translate(images)

    # === Images out ===
    def translate(
        self,
        images: Any,
        inverse: bool = False,
        batch_size: int = 16,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """Images of one domain, translated into the other.

        Args:
            images: an image `(height, width, channels)` or images `(N, height, width, channels)`, uint8, or float in
                [0, 1] or [-1, 1]; of any size if the generator takes any size, as the default one does.
            inverse: translate from the second domain to the first.
            batch_size: images computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`. None: [-1, 1] if any value is negative, else the
                range of the training images, or [0, 1] if that is unknown.

        Returns:
            uint8 array of the shape of `images`.

        Raises:
            TypeError, ValueError: if `images` are not images, or have another shape or range.
        """
        if not self.trained:
            warnings.warn("CycleGAN has not been trained: images hardly change.", stacklevel=2)
        single = len(getattr(images, "shape", ())) == 3
        takes = (self.inverse_generator if inverse else self.generator).input_shape[1:]
        images = images[None] if single else images
        checked = self.image_input.images(images, "CycleGAN.translate", takes, value_range)
        function = self.inverted if inverse else self.translated
        drawn = self.graphs.in_batches(function, {"images": checked}, batch_size, verbose)
        drawn = ops.convert_to_numpy(pixels.to_uint8(drawn))
        return drawn[0] if single else drawn

    def translated(self, inputs: dict[str, Tensor]) -> Tensor:
        """Images of the second domain, in [-1, 1], from a dict of `images`: the graph of `translate`."""
        return _of_any_size(self.average, pixels.in_network_range(inputs["images"]))

    def inverted(self, inputs: dict[str, Tensor]) -> Tensor:
        """Images of the first domain; see `translated`."""
        return _of_any_size(self.inverse_average, pixels.in_network_range(inputs["images"]))

    def call(self, images: Tensor) -> Tensor:
        """Images of the second domain from images of the first, all in [-1, 1]."""
        return _translated(self.average, images)

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """The averaged generator."""
        return [self.average]

    def serving_signature(self) -> list:
        """`images`, uint8 `(N, height, width, channels)`."""
        return [keras.InputSpec("uint8", (None, *self.generator.input_shape[1:]), name="images")]

    def serve(self, images: Tensor) -> dict[str, Tensor]:
        """`{"images": uint8 images}` of the second domain."""
        return {"images": pixels.to_uint8(self.translated({"images": images}))}


def _checked(network, name, image_shape):
    if not isinstance(network, keras.Model):
        raise TypeError(f"CycleGAN: {name} must be a keras.Model; got {type(network).__name__}.")
    made = tuple(network.compute_output_spec(keras.KerasTensor((1, *image_shape))).shape)
    if made != (1, *image_shape):
        raise ValueError(f"CycleGAN: {name} must keep the shape of an image, {image_shape}; it makes {made[1:]}.")
    return network


def _translated(network, images, training=False):
    """Applies a network for images in [0, 1] to images in [-1, 1]; the result is in [-1, 1]."""
    return 2.0 * ops.cast(network(0.5 * images + 0.5, training=training), "float32") - 1.0


def _of_any_size(average, images):
    height, width = ops.shape(images)[1:3]
    if None in average.network.input_shape[1:3]:
        images = in_whole_multiples(images)
    return _translated(average, images)[:, :height, :width]
