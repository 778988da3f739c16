"""A discriminator together with what it minimises: shared by every model that trains against one."""

from __future__ import annotations

import keras
from keras import ops

from kgen import losses
from kgen.layers import DiffAugment
from kgen.training import backend


def feed(network, name, tensor, condition, training):
    """Calls a network with a tensor and those parts of a condition that it takes.

    A network with one plain input gets the tensor; one with a dict of inputs gets the tensor under `name`, and of the
    condition (`pooled`, `tokens`, `mask`) what its inputs name.
    """
    if not condition_names(network, condition):
        return network(tensor, training=training)
    parts = {name: tensor, **condition}
    names = condition_names(network, condition) | {name}
    if names - set(parts):
        raise ValueError(
            f"The network {network.name!r} has inputs {sorted(names)}; nothing is known of "
            f"{sorted(names - set(parts))}. They may be {name!r} and what the model's condition has: "
            f"{sorted(condition)}."
        )
    return network({key: parts[key] for key in names}, training=training)


def inputs_of(network):
    """The symbolic inputs of a network: a tensor, a dict or a list of them; None where it does not know them yet."""
    if isinstance(network, keras.Sequential):
        return network.inputs[0] if network.built else None
    return getattr(network, "input", None)


def condition_names(network, condition):
    """Names of the parts of a condition that a network has inputs for; all of them where it does not say."""
    inputs = inputs_of(network)
    if inputs is None:
        return set(condition)
    return set(inputs) - {"images", "latents"} if isinstance(inputs, dict) else set()


def parted(batch):
    """`(images, condition)` of a batch."""
    return batch["images"], {key: value for key, value in batch.items() if key != "images"}


class Adversary:
    """The second player: logits, its own loss, and the loss of whoever wants to convince it.

    A discriminator that takes a condition is trained to be matching-aware [Reed et al. 2016, "Generative adversarial
    text to image synthesis"]: a real picture beside another sample's condition counts as a fake, so it has to look at
    both.

    Args:
        discriminator: network from images `(batch, H, W, C)` in [-1, 1], or `{"images", "pooled"}`, to `(batch, 1)`.
        loss: a `kgen.losses.AdversarialLoss`.
        penalties: `kgen.losses.Penalty` objects.
        mixing: a `kgen.losses.Mixup`, or None.
        augmentation: a `kgen.layers.DiffAugment` of whatever the discriminator sees in training, or None.
    """

    def __init__(self, discriminator, loss, penalties, mixing=None, augmentation=None):
        self.discriminator = discriminator
        self.loss = loss
        self.penalties = tuple(penalties)
        self.mixing = mixing
        self.augmentation = augmentation

    @classmethod
    def from_arguments(cls, discriminator, loss, penalties, mixing=None, augmentation=None):
        """From the arguments of `compile`: "auto" is the non-saturating loss, with a light R1 penalty."""
        loss = losses.get("adversarial", "non_saturating" if isinstance(loss, str) and loss == "auto" else loss)
        if isinstance(penalties, str) and penalties == "auto":
            penalties = [losses.R1(1.0)]
        elif not isinstance(penalties, (list, tuple)):
            penalties = [penalties]
        for penalty in penalties:
            if not isinstance(penalty, losses.Penalty):
                raise TypeError(
                    f"compile: penalties are kgen.losses.Penalty objects, such as R1(10.0); got {penalty!r}."
                )
        if mixing is not None:
            if not isinstance(mixing, losses.Mixup):
                raise TypeError(f"compile: mixing must be a kgen.losses.Mixup or None; got {mixing!r}.")
            if not isinstance(loss, losses.SeparableLoss):
                raise ValueError(
                    "compile: mixing makes pictures that are partly real, which only a loss that judges each by itself "
                    f"can judge, a kgen.losses.SeparableLoss; {type(loss).__name__} is none."
                )
        if augmentation is not None and not isinstance(augmentation, DiffAugment):
            raise TypeError(f"compile: augmentation must be a kgen.layers.DiffAugment or None; got {augmentation!r}.")
        return cls(discriminator, loss, penalties, mixing, augmentation)

    def get_config(self):
        """The part of a model's compile config that is the adversary's."""
        return {
            "loss": keras.saving.serialize_keras_object(self.loss),
            "penalties": [keras.saving.serialize_keras_object(penalty) for penalty in self.penalties],
            "mixing": keras.saving.serialize_keras_object(self.mixing),
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
        }

    @property
    def terms(self):
        """Names of the parts of `discriminator_loss`."""
        return ("discrimination", "penalty") if self.penalties else ()

    def logits(self, images, condition, training, seed=None):
        """The discriminator's logits, `(batch,)` in float32; in training of augmented images, drawn with `seed`."""
        if self.augmentation is not None and training:
            batch, height, width = ops.shape(images)[0], *images.shape[1:3]
            images = self.augmentation.apply(images, self.augmentation.parameters(batch, height, width, seed))
        outputs = feed(self.discriminator, "images", images, condition, training)
        return ops.reshape(ops.cast(outputs, "float32"), (-1,))

    def discriminator_loss(self, real, fake, condition, training, seed, step=0):
        """What the discriminator minimises, `(batch,)`, or its terms by name.

        Args:
            real, fake: pictures in [-1, 1].
            condition: of both.
            training: whether the loss is trained on.
            seed: for what is drawn.
            step: number of this training step, from 0, which says what lazy penalties are due.
        """
        fake = ops.stop_gradient(fake)
        real_logits = None
        if self.mixing is not None and training:
            pictures, share = self.mixing.mixed(real, fake, seed)
            value = self.loss.partly_real(self.logits(pictures, condition, training, seed), share)
        else:
            real_logits = self.logits(real, condition, training, seed)
            value = self.loss.discriminator(real_logits, self.logits(fake, condition, training, seed))
        if condition_names(self.discriminator, condition):
            others = {key: ops.roll(tensor, 1, axis=0) for key, tensor in condition.items()}
            if real_logits is None:
                real_logits = self.logits(real, condition, training, seed)
            mismatched = self.loss.discriminator(real_logits, self.logits(real, others, training, seed))
            # A neighbour with the very same condition is no mismatch.
            differs = ops.any(ops.not_equal(condition["pooled"], others["pooled"]), axis=-1)
            value = ops.where(differs, 0.5 * (value + mismatched), value)
        if not self.penalties:
            return value
        return {"discrimination": value, "penalty": self._penalty(real, fake, condition, training, seed, step)}

    def _penalty(self, real, fake, condition, training, seed, step):
        nothing = ops.zeros((ops.shape(real)[0],))

        def cost(penalty):
            points = penalty.points(real, fake, seed)
            slope = backend.input_gradient(lambda images: self.logits(images, condition, training, seed), points)
            return penalty.every * penalty.cost(slope)

        total = nothing
        # A penalty differentiates the gradient of the logits, which evaluation has no use for.
        for penalty in self.penalties if training else ():
            if penalty.every == 1:
                total = total + cost(penalty)
            else:
                due = ops.equal(ops.mod(ops.cast(step, "int32"), penalty.every), 0)
                total = total + backend.value_if(due, lambda penalty=penalty: cost(penalty), nothing)
        return total

    def generator_loss(self, real, fake, condition, training, seed=None):
        """What convinces the discriminator, `(batch,)`."""
        return self.loss.generator(
            self.logits(real, condition, training, seed), self.logits(fake, condition, training, seed)
        )
