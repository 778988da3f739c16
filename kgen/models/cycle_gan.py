"""Pictures of one domain as ones of another, learned without pairs."""

from __future__ import annotations

import warnings

import keras
from keras import ops

from kgen import losses, networks
from kgen.models import pixels
from kgen.models.adversary import Adversary
from kgen.models.judged_model import check_discriminator
from kgen.models.tiles import in_whole_multiples
from kgen.models.two_sets_model import TwoSetsModel
from kgen.training import MovingAverage, Phase, network_copy

NETWORKS = ("generator", "inverse_generator", "discriminator", "inverse_discriminator")


@keras.saving.register_keras_serializable(package="kgen")
class CycleGAN(TwoSetsModel):
    """Translates pictures x of one domain into another, of which pictures y are given, and back: `fit(x, y)`.

    Horses as zebras, photos as paintings: no picture need have a counterpart. A generator G makes pictures of the other
    domain of x, an inverse generator F makes pictures of the first of y, a discriminator judges each domain, and what
    went there and back is to be what it was [Zhu et al. 2017, "Unpaired image-to-image translation using
    cycle-consistent adversarial networks"]:

        L = adversarial(G(x)) + adversarial(F(y)) + cycle_weight * (|F(G(x)) - x| + |G(F(y)) - y|)
            + identity_weight * (|G(y) - y| + |F(x) - x|)

    absolute differences being means over pixels in [-1, 1]. The weights of both generators are averaged; the averages
    translate. `StyleTransfer` needs no training for a new style; this learns what is typical of a whole domain.

    Args:
        image_shape: `(height, width, channels)` of the pictures of `fit`; height and width even.
        generator: built `keras.Model` from pictures in [0, 1] to ones of the same shape, of any size where it takes
            any; None: a `kgen.networks.restoration_network`, which begins by changing nothing.
        inverse_generator: the same, back; None: a copy of the generator's architecture.
        discriminator: network from pictures in [-1, 1] of `image_shape` to logits `(batch, 1)`, for the second domain;
            None: a `kgen.networks.MultiscaleEncoder`.
        inverse_discriminator: the same for the first domain; None: a copy of the discriminator's architecture.
        ema_momentum: of the average of the generators' weights, in [0, 1).
        seed: integer or None; where training's random numbers begin.

    Raises:
        TypeError: if a part is no network.
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

    def __init__(
        self,
        image_shape=(64, 64, 3),
        generator=None,
        inverse_generator=None,
        discriminator=None,
        inverse_discriminator=None,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.image_shape = image_shape = tuple(image_shape)
        # === Layers ===
        if generator is None:
            generator = networks.restoration_network(image_shape[-1], filters=32, blocks=6)
        if discriminator is None:
            discriminator = networks.MultiscaleEncoder(image_shape, 1, filters=128)
        if inverse_generator is None:
            inverse_generator = network_copy(generator, weights=False)
        if inverse_discriminator is None:
            inverse_discriminator = network_copy(discriminator, weights=False)
        self.generator = _checked(generator, "generator", image_shape)
        self.inverse_generator = _checked(inverse_generator, "inverse_generator", image_shape)
        self.discriminator, self.inverse_discriminator = discriminator, inverse_discriminator
        for each in (self.discriminator, self.inverse_discriminator):
            check_discriminator("CycleGAN", each, image_shape)
        self.average = MovingAverage(self.generator, ema_momentum)
        self.inverse_average = MovingAverage(self.inverse_generator, ema_momentum)
        self.ema_momentum = ema_momentum
        self.choose_losses()
        self.built = True

    # === Training ===
    def compile(
        self, optimizer="auto", loss="least_squares", penalties=(), cycle_weight=2.0, identity_weight=1.0, **kwargs
    ):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 2e-4, beta_1 0.5), one optimizer, or a dict with `discriminator` and `generator`:
                both discriminators have one, and both generators.
            loss, penalties: as of `GAN.compile`; least squares and no penalty are the paper's.
            cycle_weight: of the difference between pictures and what comes back of them. The paper's 10, with 5 for
                identity, suit generators that begin at random; one that begins by changing nothing is held there.
            identity_weight: of the difference between pictures of a domain and what they are translated into for that
                same domain, which keeps colours; 0 leaves it out.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: for a loss that is none, or a negative weight.
        """
        self.choose_losses(loss, penalties, cycle_weight, identity_weight)
        super().compile(optimizer, **kwargs)

    def choose_losses(self, loss="least_squares", penalties=(), cycle_weight=2.0, identity_weight=1.0):
        """What `compile` chooses beside the optimizer; see there."""
        for name, weight in (("cycle_weight", cycle_weight), ("identity_weight", identity_weight)):
            if not weight >= 0:
                raise ValueError(f"CycleGAN.compile: {name} must be at least 0; got {weight!r}.")
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.adversary = Adversary(self.discriminator, loss, penalties)
        self.inverse_adversary = Adversary(self.inverse_discriminator, loss, penalties)

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        adversary = self.adversary.get_config()
        own = {"loss": adversary["loss"], "penalties": adversary["penalties"]}
        return {**config, **own, "cycle_weight": self.cycle_weight, "identity_weight": self.identity_weight}

    def default_optimizer(self, phase):
        """The paper's."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def phases(self):
        """Both discriminators, then both generators."""
        judges = [self.discriminator, self.inverse_discriminator]
        makers = [self.generator, self.inverse_generator]
        terms = ("adversarial", "cycle", "identity") if self.identity_weight else ("adversarial", "cycle")
        judging = {"terms": self.adversary.terms, "measures": self.adversary.measures}
        return [
            Phase("discriminator", self.discriminator_loss, _variables(judges), **judging),
            Phase("generator", self.generator_loss, _variables(makers), terms=terms),
        ]

    def discriminator_loss(self, batch, training):
        """Of both discriminators: sums of their losses, means of what they measure."""
        x, y = batch["images"], self.second_of(batch, training)
        translate, invert = self._translators(training)
        options = {}, training, self.seeds(training), self.average.updates
        first = self.inverse_adversary.discriminator_loss(x, invert(y), *options)
        second = self.adversary.discriminator_loss(y, translate(x), *options)
        shares = {name: 0.5 if name in self.adversary.measures else 1.0 for name in first}
        return {name: share * (first[name] + second[name]) for name, share in shares.items()}

    def generator_loss(self, batch, training):
        """Of both generators: the adversarial, the cycle and the identity loss, each `(batch,)`."""
        x, y = batch["images"], self.second_of(batch, training)
        translate, invert = self._translators(training)
        there, back = translate(x), invert(y)
        options = {}, training, self.seeds(training)
        word = self.adversary.generator_loss(y, there, *options)
        inverse_word = self.inverse_adversary.generator_loss(x, back, *options)
        cycle = losses.L1().loss(x, invert(there)) + losses.L1().loss(y, translate(back))
        parts = {"adversarial": word + inverse_word, "cycle": self.cycle_weight * cycle}
        if self.identity_weight:
            same = losses.L1().loss(y, translate(y)) + losses.L1().loss(x, invert(x))
            parts["identity"] = self.identity_weight * same
        return parts

    def _translators(self, training):
        """The two generators, or their averages, from pictures in [-1, 1] to such."""
        pair = (self.generator, self.inverse_generator) if training else (self.average, self.inverse_average)
        return [lambda images, each=each: _translated(each, images, training) for each in pair]

    def after_step(self):
        """Updates the averaged generators."""
        self.average.update(self.generator)
        self.inverse_average.update(self.inverse_generator)

    # === Pictures out ===
    def translate(self, images, inverse=False, batch_size=16, verbose="auto"):
        """Pictures of one domain as ones of the other.

        Args:
            images: a picture `(height, width, channels)` or pictures `(N, height, width, channels)`, uint8, or float in
                [0, 1] or [-1, 1]; of any size where the generator takes any, as the one of the library does.
            inverse: from the second domain to the first.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 of the shape of `images`.

        Raises:
            TypeError, ValueError: for what is no picture, or of another shape or range.
        """
        if not self.average.trained:
            warnings.warn("CycleGAN has not been trained: pictures stay nearly as they are.", stacklevel=2)
        single = len(getattr(images, "shape", ())) == 3
        images = images[None] if single else images
        takes = (self.inverse_generator if inverse else self.generator).input_shape[1:]
        self.find_range(images, some_of_many=True, owner="CycleGAN.translate", shape=takes)
        function = self.inverted if inverse else self.translated
        drawn = self.in_batches(function, {"images": images}, batch_size, verbose)
        drawn = ops.convert_to_numpy(pixels.to_uint8(drawn))
        return drawn[0] if single else drawn

    def translated(self, inputs):
        """Pictures of the second domain, in [-1, 1], from a dict of `images` as they come in: of `translate`."""
        return _of_any_size(self.average, self.to_network(inputs["images"]))

    def inverted(self, inputs):
        """Pictures of the first domain; see `translated`."""
        return _of_any_size(self.inverse_average, self.to_network(inputs["images"]))

    def call(self, images):
        """Pictures of the second domain of those in [-1, 1]."""
        return _translated(self.average, images)

    # === As a SavedModel ===
    def served_layers(self):
        """The averaged generator."""
        return [self.average]

    def serving_signature(self):
        """`images`, uint8 `(N, height, width, channels)`."""
        import tensorflow as tf

        return [tf.TensorSpec([None, *self.generator.input_shape[1:]], tf.uint8, name="images")]

    def serve(self, images):
        """`{"images": uint8 pictures}` of the second domain."""
        return {"images": pixels.to_uint8(self.translated({"images": images}))}

    # === Config ===
    def get_config(self):
        networks_of_this = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in NETWORKS}
        own = {"image_shape": self.image_shape, "ema_momentum": self.ema_momentum}
        return {**super().get_config(), **networks_of_this, **own}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, **{name: keras.saving.deserialize_keras_object(config[name]) for name in NETWORKS}})


def _checked(network, name, image_shape):
    if not isinstance(network, keras.Model):
        raise TypeError(f"CycleGAN: {name} must be a keras.Model; got {type(network).__name__}.")
    made = tuple(network.compute_output_spec(keras.KerasTensor((1, *image_shape))).shape)
    if made != (1, *image_shape):
        raise ValueError(f"CycleGAN: {name} must make a picture of {image_shape} of one; it makes {made[1:]}.")
    return network


def _variables(networks_of_phase):
    return [variable for network in networks_of_phase for variable in network.trainable_variables]


def _translated(network, images, training=False):
    """What a network of pictures in [0, 1] makes of ones in [-1, 1], in [-1, 1]."""
    return 2.0 * ops.cast(network(0.5 * images + 0.5, training=training), "float32") - 1.0


def _of_any_size(average, images):
    height, width = ops.shape(images)[1:3]
    if None in average.network.input_shape[1:3]:
        images = in_whole_multiples(images)
    return _translated(average, images)[:, :height, :width]
