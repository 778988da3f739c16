"""Losses of the two players of a generative adversarial network, from logits, one value per sample."""

from __future__ import annotations

from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class AdversarialLoss:
    """Base of the losses of a GAN: what each player minimises, given the discriminator's logits.

    A subclass defines `generator` and `discriminator`. Each takes logits of shape `(batch,)` and returns one value per
    sample. The generator may use the real logits too, as relativistic losses do. `boundary` is the logit of an image
    that is equally likely to be real or generated, or None if only differences between logits matter.

    Example:

    ```python
    class LeastSquares(kgen.losses.AdversarialLoss):
        def generator(self, real_logits, fake_logits):
            return (fake_logits - 1.0) ** 2

        def discriminator(self, real_logits, fake_logits):
            return (real_logits - 1.0) ** 2 + fake_logits**2
    ```
    """

    boundary: float | None = None

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """The generator's loss, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define generator().")

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The discriminator's loss, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define discriminator().")


@serializable
class SeparableLoss(AdversarialLoss):
    """Base of the losses that judge each image by itself: one cost if it is real, another if it is generated.

    A subclass defines `generator`, `if_real` and `if_fake`. Only a loss of this kind can judge images that are partly
    real. Its `generator` does not use real images: `real_logits` may be None.

    Args:
        label_smoothing: share, in [0, 0.5), by which a real image counts as a generated one. It keeps the discriminator
            from becoming too certain [one-sided; Salimans et al. 2016, "Improved techniques for training GANs"].

    Raises:
        ValueError: if `label_smoothing` is out of range.

    Example:

    ```python
    class Exponential(kgen.losses.SeparableLoss):
        def generator(self, real_logits, fake_logits):
            return keras.ops.exp(-fake_logits)

        def if_real(self, logits):
            return keras.ops.exp(-logits)

        def if_fake(self, logits):
            return keras.ops.exp(logits)
    ```
    """

    boundary: float | None = 0.0

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = float(
            checks.number(type(self).__name__, "label_smoothing", label_smoothing, least=0.0, below=0.5)
        )

    def if_real(self, logits: Tensor) -> Tensor:
        """The discriminator's cost for the logits of real images, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define if_real().")

    def if_fake(self, logits: Tensor) -> Tensor:
        """The discriminator's cost for the logits of generated images, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define if_fake().")

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The sum of both costs, `(batch,)`."""
        return self.partly_real(real_logits, 1.0 - self.label_smoothing) + self.if_fake(fake_logits)

    def partly_real(self, logits: Tensor, share: float | Tensor) -> Tensor:
        """The discriminator's cost for partly real images; `share`, in [0, 1], is a number or `(batch,)`."""
        if isinstance(share, float) and share == 1.0:
            return self.if_real(logits)
        return share * self.if_real(logits) + (1.0 - share) * self.if_fake(logits)


@serializable
class NonSaturating(SeparableLoss):
    """L_G = -log D(G(z)); L_D = -log D(x) - log(1 - D(G(z))) [Goodfellow et al. 2014, "Generative adversarial nets"].

    With logits l and D = sigmoid(l), -log D = softplus(-l) and -log(1 - D) = softplus(l). These neither overflow nor
    lose their gradient when a player is certain.

    Args:
        label_smoothing: see `SeparableLoss`.

    Example:

    ```python
    loss = kgen.losses.NonSaturating()
    loss.discriminator(real_logits=keras.ops.array([2.0]), fake_logits=keras.ops.array([-1.0]))     # [0.4402]
    ```
    """

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """-log D(G(z)), `(batch,)`."""
        return ops.softplus(-fake_logits)

    def if_real(self, logits: Tensor) -> Tensor:
        """-log D(x), `(batch,)`."""
        return ops.softplus(-logits)

    def if_fake(self, logits: Tensor) -> Tensor:
        """-log(1 - D(G(z))), `(batch,)`."""
        return ops.softplus(logits)


@serializable
class Minimax(NonSaturating):
    """L_G = log(1 - D(G(z))), with L_D of `NonSaturating`: a zero-sum game [Goodfellow et al. 2014].

    The generator's gradient vanishes where the discriminator is certain; the same paper recommends `NonSaturating`.

    Args:
        label_smoothing: see `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss=kgen.losses.Minimax())
    ```
    """

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """log(1 - D(G(z))), `(batch,)`."""
        return -ops.softplus(fake_logits)


@serializable
class LeastSquares(SeparableLoss):
    """L_G = (l(G(z)) - 1)^2 / 2; L_D = (l(x) - 1)^2 / 2 + l(G(z))^2 / 2, for logits l.

    [Mao et al. 2017, "Least squares generative adversarial networks"]

    Args:
        label_smoothing: see `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss=kgen.losses.LeastSquares())
    ```
    """

    boundary = 0.5

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """(l(G(z)) - 1)^2 / 2, `(batch,)`."""
        return self.if_real(fake_logits)

    def if_real(self, logits: Tensor) -> Tensor:
        """(l(x) - 1)^2 / 2, `(batch,)`."""
        return 0.5 * ops.square(logits - 1.0)

    def if_fake(self, logits: Tensor) -> Tensor:
        """l(G(z))^2 / 2, `(batch,)`."""
        return 0.5 * ops.square(logits)


@serializable
class Hinge(SeparableLoss):
    """L_G = -l(G(z)); L_D = max(0, 1 - l(x)) + max(0, 1 + l(G(z))), for logits l.

    [Lim & Ye 2017, "Geometric GAN"; Miyato et al. 2018 with spectral normalisation]

    Args:
        label_smoothing: see `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss="hinge", penalties=[])     # with a discriminator under spectral normalisation
    ```
    """

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """-l(G(z)), `(batch,)`."""
        return -fake_logits

    def if_real(self, logits: Tensor) -> Tensor:
        """max(0, 1 - l(x)), `(batch,)`."""
        return ops.relu(1.0 - logits)

    def if_fake(self, logits: Tensor) -> Tensor:
        """max(0, 1 + l(G(z))), `(batch,)`."""
        return ops.relu(1.0 + logits)


@serializable
class Wasserstein(SeparableLoss):
    """L_G = -l(G(z)); L_D = l(G(z)) - l(x), for logits l.

    [Arjovsky et al. 2017, "Wasserstein generative adversarial networks"] It needs a discriminator of bounded slope,
    by a `GradientPenalty` or by spectral normalisation.

    Args:
        label_smoothing: see `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss="wasserstein", penalties=[kgen.losses.GradientPenalty(10.0)])     # WGAN-GP
    ```
    """

    boundary = None

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """-l(G(z)), `(batch,)`."""
        return -fake_logits

    def if_real(self, logits: Tensor) -> Tensor:
        """-l(x), `(batch,)`."""
        return -logits

    def if_fake(self, logits: Tensor) -> Tensor:
        """l(G(z)), `(batch,)`."""
        return logits


@serializable
class Relativistic(AdversarialLoss):
    """L_G = softplus(l(x) - l(G(z))); L_D = softplus(l(G(z)) - l(x)), for logits l.

    [Jolicoeur-Martineau 2019, "The relativistic discriminator"] Each generated image is judged against a real one. This
    is the pairing form of Huang et al. 2024, "The GAN is dead; long live the GAN!", which adds R1 and R2.

    Example:

    ```python
    gan.compile(loss="relativistic", penalties=[kgen.losses.R1(1.0), kgen.losses.R2(1.0)])
    ```
    """

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """softplus(l(x) - l(G(z))), `(batch,)`."""
        return ops.softplus(real_logits - fake_logits)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """softplus(l(G(z)) - l(x)), `(batch,)`."""
        return ops.softplus(fake_logits - real_logits)


def pair_accuracy(first_logits: Tensor, second_logits: Tensor, difference: float | Tensor = 1.0) -> Tensor:
    """How often a discriminator gives the more real image of a pair the higher logit; equal logits count half.

    0.5 means that it cannot tell them apart, 1 that it always can. Only the order of logits counts, so the number means
    the same for every loss.

    Args:
        first_logits, second_logits: `(batch,)`.
        difference: by how much the first image of a pair is more real than the second: 1 for a real one and a generated
            one; for mixed images `(batch,)` in [-1, 1]. Pairs count in proportion to it, because two equally real
            images have no order.

    Returns:
        Tensor `(batch,)`, whose mean is the accuracy, weighted by `difference`.

    Example:

    ```python
    kgen.losses.pair_accuracy(keras.ops.array([2.0, 0.0, 1.0]), keras.ops.array([1.0, 1.0, 1.0]))     # [1, 0, 0.5]
    ```
    """
    difference = ops.convert_to_tensor(difference, "float32")
    # Differences are all 0 only in a batch of one: random shares are never all equal.
    weight = difference / ops.maximum(ops.mean(ops.abs(difference)), 1e-6)
    return 0.5 + 0.5 * weight * ops.sign(first_logits - second_logits)
