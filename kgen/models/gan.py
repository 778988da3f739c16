"""Generative adversarial networks."""

from __future__ import annotations

from typing import Any

import keras

from kgen import checks, networks
from kgen.inference.classify import classifier_probabilities, named
from kgen.inference.inversion import invert
from kgen.inputs import ClassLabels, ImageInput
from kgen.inputs.class_labels import label_condition
from kgen.models.image_model import ImageModel
from kgen.networks.interface import check_discriminator, check_generator, outputs_of, pooled_dim, warn_of_ending
from kgen.objectives import Adversarial
from kgen.sampling.sampler import Sampler, checked_postprocessing
from kgen.serializable import arguments_of, python_numbers, serializable
from kgen.spaces import space_of
from kgen.training import AdaptiveProbability, MovingAverage
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


@serializable
class GAN(ImageModel):
    """A generator and a discriminator that learn from each other [Goodfellow et al. 2014].

    Each step first trains the discriminator to tell real images from generated ones, then the generator to deceive it.
    Both use the same generated images, which are made once; with `discriminator_steps` above 1, each step draws new
    ones.
    The logs name `discriminator_loss`, `generator_loss`, and `discriminator_accuracy`: the share of pairs of a real and
    a generated image in which the discriminator finds the real one more real. At 0.5 it is guessing, at 1 it always
    wins. `loss` is the sum of both losses, for `keras.callbacks.TerminateOnNaN`; it does not measure image quality.

    Args:
        generator: built `keras.Model` from latents `(batch, latent_dim)` to images `(batch, H, W, C)` in [-1, 1];
            for a conditional GAN from `{"latents", "pooled"}` (and `tokens`, `mask` for text).
        discriminator: built `keras.Model` from images, or `{"images", "pooled"}`, to logits `(batch, 1)`; or from
            images alone to `{"logits": (batch, 1), "labels": (batch, num_classes)}`, with an auxiliary classifier
            (AC-GAN), which learns to `classify` as well.
        latent_dim: length of a latent vector.
        num_classes: number of classes for a class-conditional GAN, whose `pooled` is the one-hot label.
        ema_momentum: momentum of the average of the generator's weights, which `generate` uses, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        postprocessing: list of layers that `generate` and the SavedModel apply in order, from images in [0, 1] to
            images in [0, 1], perhaps larger ones: `kgen.layers.Sharpen`, `Upscale` and others, or your own network.
            They are saved with the model but not trained; losses and metrics do not see them.
        space: None for networks that see and make images; for latents a `kgen.spaces.LatentSpace`, or the name of its
            autoencoder's preset: the networks then have the shape of its latents.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if a network is not a `keras.Model`.
        ValueError: if the shapes of the networks do not fit together, or a network of a class-conditional GAN ignores
            classes.

    Example:

    ```python
    gan = kgen.models.GAN.from_image_shape((32, 32, 3))
    gan.compile()
    gan.fit(images, epochs=10, batch_size=32)       # uint8, or float in [0, 1] or [-1, 1]
    generated = gan.generate(16, seed=0)            # uint8 (16, 32, 32, 3)
    ```
    """

    generates = True
    instead_of_predict = "generate for new images, decode for images of latents, classify or encode for your own images"
    # The generator outputs images, not parameters of a likelihood.
    reconstruction = None

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        latent_dim: int,
        num_classes: int | None = None,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        postprocessing: Any = (),
        space: Any = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.space = space_of(type(self).__name__, space)
        self.latent_dim, self.num_classes = check_generator(type(self).__name__, generator, latent_dim, num_classes)
        shape = tuple(generator.output_shape[1:])
        self.image_shape = self.space.image_shape(type(self).__name__, shape)
        warn_of_ending(type(self).__name__, "generator", generator, logits=False, latents=self.space.stores)
        check_discriminator(type(self).__name__, discriminator, shape, num_classes)
        told = pooled_dim(discriminator) is not None or "labels" in outputs_of(discriminator)
        if num_classes is not None and not told:
            raise ValueError(
                f"{type(self).__name__}: the discriminator {discriminator.name!r} must take the class as 'pooled' or "
                "return it as 'labels'; otherwise the generator would not learn what labels mean."
            )
        self.ema_momentum = ema_momentum
        # === Layers ===
        self.generator = generator
        self.discriminator = discriminator
        self.average = MovingAverage(generator, ema_momentum)
        # Made here, not in `compile`, which chooses an adaptive augmentation: Keras could not let go of it.
        self.adaptive_probability = AdaptiveProbability(name="adaptive_probability")
        self.postprocessing = checked_postprocessing(type(self).__name__, postprocessing)
        # === Parts ===
        targets = {} if num_classes is None else {"labels": ClassLabels(num_classes)}
        self.image_input = ImageInput(type(self).__name__, self.image_shape, self.float_scale, targets, self.space)
        self.sampler = Sampler(self)
        self.use_objective(Adversarial())
        self.built = True

    @classmethod
    @python_numbers
    def from_image_shape(
        cls,
        image_shape: ImageShape,
        latent_dim: int = 128,
        num_classes: int | None = None,
        architecture: str = "auto",
        size: str = "small",
        conditioning: str = "projection",
        attention_resolutions: tuple = (),
        space: Any = None,
        **kwargs: Any,
    ) -> GAN:
        """A GAN with networks for images of this shape.

        Args:
            image_shape: `(height, width, channels)`. For all but "perceptron", halving both sides equally often must
                bring the shorter one to 4, 5, 6 or 7: 28, 32, 48, 64, 96 and 128 do.
            latent_dim: length of a latent vector.
            num_classes: number of classes of a class-conditional GAN; None without labels.
            architecture: "perceptron", only dense layers; "dcgan" (Radford et al. 2016); "resnet" with spectral
                normalisation (Miyato et al. 2018); "r3gan" (Huang et al. 2024); "multiscale", a `MultiscaleDecoder`
                and a `MultiscaleEncoder`; "auto", the one that learns fastest: "perceptron" below 16 pixels a side,
                else "dcgan".
            size: "small", for a CPU, "medium" or "large".
            conditioning: how the discriminator uses classes: "projection", it gets the class and also judges whether
                the image fits it; "classifier", it predicts the class (AC-GAN), so that the model can `classify`.
            attention_resolutions: shorter sides of the grids with self-attention, in both networks.
            space: as in `GAN`; the networks are then made for the latents of such images.
            **kwargs: as in `GAN`.

        Raises:
            ValueError: for an unknown name, or a shape that the architecture cannot make.
        """
        own = space_of(cls.__name__, space)
        sizes = architecture, size, conditioning, attention_resolutions
        generator, discriminator = networks.generator_and_discriminator(
            cls.__name__, own.shape(cls.__name__, image_shape), latent_dim, num_classes, *sizes, own.output_activation
        )
        return cls(generator, discriminator, latent_dim, num_classes=num_classes, space=own, **kwargs)

    # === Training ===
    def compile(
        self,
        optimizer: Any = "auto",
        loss: Any = "auto",
        penalties: Any = "auto",
        mixing: Any = None,
        augmentation: Any = None,
        discriminator_steps: int = 1,
        classification_weight: float = 1.0,
        feature_matching: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3, beta_1 0, beta_2 0.99), one optimizer, or a dict with `discriminator` and
                `generator`.
            loss: a `kgen.losses.AdversarialLoss` or its short name: "non_saturating", which is "auto", "minimax",
                "least_squares", "hinge", "wasserstein" or "relativistic".
            penalties: a `kgen.losses.Penalty` or a list of them; `[]` for none. "auto" is `[R1(1.0, every=8)]`, or none
                if the discriminator has batch normalisation, because then the gradient for one image depends on the
                rest of the batch. By name: "r1", "r2", "gradient_penalty", "dragan".
            mixing: a `kgen.losses.Mixup` or "mixup": the discriminator sees mixtures of real and generated images;
                None: it sees both as they are.
            augmentation: for small data sets, a `kgen.layers.DiffAugment` of all images that the discriminator sees; or
                an `AdaptiveAugment`, which augments only as much as needed. By name: "diff_augment",
                "adaptive_augment".
            discriminator_steps: discriminator steps for each generator step, each on its own batch.
            classification_weight: weight of the labels' cross-entropy, if the discriminator has a classifier: the
                discriminator minimises it on real images, the generator on generated ones.
            feature_matching: weight of `kgen.losses.feature_matching` in the generator's loss, on the features that
                `kgen.networks.feature_network` finds in the discriminator.
            **kwargs: `metrics` from `kgen.metrics`, computed in `evaluate` and on the validation data of `fit`, with
                one generated image for each real one; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError, ValueError: for an unknown loss, penalty or augmentation, or a number out of range.
        """
        arguments = loss, penalties, mixing, augmentation, discriminator_steps, classification_weight, feature_matching
        self.use_objective(Adversarial(*arguments))
        super().compile(optimizer, config=arguments_of(self.objective), **kwargs)

    def after_step(self) -> None:
        """Updates the averaged generator."""
        self.average.update(self.generator)

    # === Images out ===
    def call(self, inputs: Any) -> Tensor:
        """Images in [-1, 1] from latents, or from `{"latents", "pooled"}`."""
        return self.space.decode(self.average.network(inputs, training=False))

    def generate(
        self,
        num_images: int = 1,
        seed: Any = None,
        truncation: float | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        labels: Any = None,
    ) -> Array:
        """Generates images.

        Args:
            num_images: how many; with labels, how many for each label.
            seed: an integer, or one for each image, or for each label. The same seed gives the same images, in batches
                of any size, on every backend. None draws one.
            truncation: the largest absolute value of a latent number, such as 0.7: latents come from a normal
                distribution truncated there, and images are more typical and less varied [Brock et al. 2019, "Large
                scale GAN training for high fidelity natural image synthesis"]. None: no truncation.
            batch_size: images computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            labels: a label or a list of labels, for a model with `num_classes`; images of one label are next to each
                other.

        Returns:
            uint8 array `(N, height, width, channels)`.

        Raises:
            ValueError: for a number below 1, missing, unexpected or out-of-range labels, or a wrong number of seeds.
        """
        return self.sampler.generate(num_images, seed, truncation, batch_size, verbose, labels)

    def interpolate(self, first_seed: int, second_seed: int, steps: int = 8, label: int | None = None) -> Array:
        """Images on the way from one seed's image to another's.

        Latents rotate from one to the other at constant speed, so their length stays typical: spherical interpolation
        [White 2016, "Sampling generative networks"].

        Args:
            first_seed, second_seed: integers; the first and the last image are those of `generate(1, seed)`.
            steps: number of images, at least 2, including both ends.
            label: label of all images, for a model with `num_classes`.

        Returns:
            uint8 array `(steps, height, width, channels)`.

        Raises:
            ValueError: for fewer than 2 steps, a wrong seed, or a missing, unexpected or wrong label.
        """
        return self.sampler.interpolate(first_seed, second_seed, steps, label)

    def decode(self, latents: Any, labels: Any = None, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """The images of latents, from `encode` or anywhere else.

        Args:
            latents: float array `(N, latent_dim)`.
            labels: integers `(N,)` for a model with `num_classes`, else None.
            batch_size, verbose: as in `generate`.

        Returns:
            uint8 array `(N, height, width, channels)`.

        Raises:
            ValueError: for latents of another shape, NaN or infinite latents, or wrong labels.
        """
        return self.sampler.decode(latents, labels, batch_size, verbose)

    # === Images in ===
    def encode(
        self,
        images: Any,
        labels: Any = None,
        steps: int = 300,
        seed: int = 0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """Latents whose images are close to the given ones, found by gradient descent; see `kgen.inference.inversion`.

        The generator cannot make every image; you get the latents of an image close to it. The descent can also end in
        a local minimum: another seed starts elsewhere.

        Args:
            images: `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            labels: integers `(N,)` for a model with `num_classes`, else None.
            steps: steps of the descent, at least 1; each costs as much as generating about three images.
            seed: an integer; the same one gives the same latents, for an image alone or in a batch.
            batch_size, verbose: as in `generate`.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`. None: [-1, 1] if any value is negative, else the
                range of the training images, or [0, 1] if that is unknown.

        Returns:
            float32 array `(N, latent_dim)`, for `decode`.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range, wrong labels, or a number out of range.
        """
        checked = self.image_input.images(images, "GAN.encode", value_range=value_range)
        condition = label_condition("GAN.encode", self.num_classes, labels, len(checked))
        steps = checks.integer("GAN.encode", "steps", steps)
        batch_size = checks.integer("GAN.encode", "batch_size", batch_size)
        checks.seed("GAN.encode", seed, optional=False)
        return invert(self, checked, condition, steps, int(seed), batch_size, verbose)

    def classify(
        self,
        images: Any,
        class_names: Any = None,
        *,
        top: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Any:
        """The classes of images, from the auxiliary classifier of the discriminator.

        Args:
            images: `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            class_names: names of the classes for `top`, in the order of the labels; None: their numbers.
            top: how many of the most probable classes to give for each image; None: the probabilities of all.
            batch_size, verbose: as in `generate`.
            value_range: as in `encode`.

        Returns:
            float32 array `(N, num_classes)`; with `top` a list of N lists of `(name, probability)`, best first.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range, or a discriminator without a classifier.
        """
        probabilities = classifier_probabilities(self, images, batch_size, verbose, value_range)
        return named("GAN.classify", probabilities, class_names, top)

    @property
    def discriminator_features(self) -> keras.Model:
        """A network from images in [-1, 1] to the discriminator's features; see `kgen.networks.feature_network`."""
        return networks.feature_network(self.discriminator, self.space)
