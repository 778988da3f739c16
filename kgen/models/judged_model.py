"""What the models share that train against a discriminator."""

from __future__ import annotations

from keras import ops

from kgen import networks
from kgen.models.adversary import Adversary
from kgen.models.generative_model import GenerativeModel, check_network, named_input
from kgen.models.network_inputs import inputs_of, outputs_of, parted
from kgen.training import AdaptiveProbability, Phase


class JudgedModel(GenerativeModel):
    """Base of the models whose pictures a discriminator may judge in training.

    A subclass hands its discriminator to `take_discriminator`, sets `adversary` and gives `generated`.

    Args:
        *args, **kwargs: as of `GenerativeModel`.

    Example:

    ```python
    isinstance(kgen.models.GAN.from_image_shape((32, 32, 3)), kgen.models.judged_model.JudgedModel)     # True
    ```
    """

    def take_discriminator(self, discriminator, optional=False):
        """Checks and keeps the network that judges, or None where it is optional, and the state that it needs."""
        self.discriminator = discriminator
        if discriminator is None and optional:
            return
        check_discriminator(type(self).__name__, discriminator, self.image_shape, self.num_classes)
        # Not made in `compile`, where an adaptive augmentation is chosen: Keras could not let go of it in the next.
        self.adaptive_probability = AdaptiveProbability(name="adaptive_probability")

    def judged_by(self, *arguments):
        """The `Adversary` of this model, from its arguments in their order."""
        return Adversary(self.discriminator, *arguments, adaptive_probability=self.adaptive_probability)

    def generated(self, like, condition, training):
        """Images in [-1, 1] by the network in training, from random latents, one for each row of `like`."""
        raise NotImplementedError(f"{type(self).__name__} must define generated().")

    def discriminator_phase(self):
        """The phase that trains the discriminator."""
        return Phase(
            "discriminator",
            self.discriminator_loss,
            self.discriminator.trainable_variables,
            terms=self.adversary.terms,
            measures=self.adversary.measures,
        )

    def discriminator_loss(self, batch, training):
        """L_D, the penalties and the measures, on real pictures and generated ones."""
        real, condition = parted(batch)
        fake = self.generated(real, condition, training)
        return self.adversary.discriminator_loss(
            real, fake, condition, training, self.seeds(training), self.average.updates
        )

    # === The discriminator in use ===
    @property
    def discriminator_features(self):
        """A network from pictures in [-1, 1] to the discriminator's features; see `kgen.networks.feature_network`."""
        self._check_has_discriminator("discriminator_features")
        return networks.feature_network(self.discriminator)

    def classify(self, images, batch_size=64, verbose="auto"):
        """What the auxiliary classifier of the discriminator takes pictures for.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float32 array `(N, num_classes)`: the probability of each class.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range, or a discriminator without a classifier, which has the
                outputs `{"logits": (batch, 1), "labels": (batch, num_classes)}`.
        """
        name = f"{type(self).__name__}.classify"
        self._check_has_discriminator("classify")
        if "labels" not in outputs_of(self.discriminator):
            raise ValueError(
                f"{name}: the discriminator has no classifier. It needs the outputs {{'logits': (batch, 1), 'labels': "
                f"(batch, num_classes)}}; it gives {sorted(outputs_of(self.discriminator))}."
            )
        self.find_range(images, some_of_many=True, owner=name)
        return self.in_batches(self.class_probabilities, {"images": images}, batch_size, verbose)

    def class_probabilities(self, inputs):
        """`(N, num_classes)` from a dict of `images` as they come in: the graph of `classify`."""
        labels = self.discriminator(self.to_network(inputs["images"]), training=False)["labels"]
        return ops.softmax(ops.cast(labels, "float32"), axis=-1)

    def _check_has_discriminator(self, wanted):
        if self.discriminator is None:
            raise ValueError(f"{type(self).__name__}.{wanted}: this model was built without a discriminator.")


def check_discriminator(owner, discriminator, image_shape, num_classes=None):
    """Raises unless the network takes such images and gives one logit each, and where it names classes, all of them."""
    check_network(owner, "discriminator", discriminator)
    images = named_input(owner, discriminator, "images")
    if tuple(images.shape[1:]) != tuple(image_shape):
        raise ValueError(
            f"{owner}: the discriminator takes images of shape {tuple(images.shape[1:])}; {tuple(image_shape)} are "
            "generated."
        )
    shapes = {name: tuple(output.shape) for name, output in outputs_of(discriminator).items()}
    if shapes.get("logits") not in ((None, 1), (None,)) or set(shapes) - {"logits", "labels"}:
        given = discriminator.output_shape if set(shapes) == {"logits"} else shapes
        raise ValueError(
            f"{owner}: the discriminator must give one logit a picture, shape (batch, 1); got {given}. With a "
            "classifier it gives {'logits': (batch, 1), 'labels': (batch, num_classes)}."
        )
    if "labels" in shapes:
        if num_classes is None or shapes["labels"] != (None, num_classes):
            raise ValueError(
                f"{owner}: the discriminator's classifier gives 'labels' of shape {shapes['labels']}; for them the "
                f"model needs num_classes, of that length; got {num_classes}."
            )
        if isinstance(inputs_of(discriminator), dict) and "pooled" in inputs_of(discriminator):
            raise ValueError(f"{owner}: a discriminator that names the class must not be told it: it has 'pooled'.")
