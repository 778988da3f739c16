"""Losses of the two players of a generative adversarial network, from logits, one value per sample."""

from __future__ import annotations

import keras
from keras import ops

from kgen.losses.configurable import Configurable


class AdversarialLoss(Configurable):
    """What each player of a GAN minimises, given the discriminator's logits.

    A subclass gives `generator` and `discriminator`; each takes logits of shape `(batch,)` and returns one value per
    sample. The generator may look at the real logits too, as relativistic losses do. `boundary` is the logit of a
    picture that is as likely real as generated; None where only differences between logits mean something.

    Example:

    ```python
    class LeastSquares(kgen.losses.AdversarialLoss):
        def generator(self, real_logits, fake_logits):
            return (fake_logits - 1.0) ** 2

        def discriminator(self, real_logits, fake_logits):
            return (real_logits - 1.0) ** 2 + fake_logits**2
    ```
    """

    boundary = None

    def generator(self, real_logits, fake_logits):
        """The generator's loss, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define generator().")

    def discriminator(self, real_logits, fake_logits):
        """The discriminator's loss, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define discriminator().")


class SeparableLoss(AdversarialLoss):
    """Base of the losses whose discriminator judges each picture by itself: one cost if real, another if generated.

    A subclass gives `generator`, `if_real` and `if_fake`. Only such a loss can judge pictures that are partly real. Its
    generator sees no real pictures: `real_logits` may be None.

    Args:
        label_smoothing: share, in [0, 0.5), by which a real picture counts as a generated one: keeps the discriminator
            from being ever surer [one-sided; Salimans et al. 2016, "Improved techniques for training GANs"].

    Raises:
        ValueError: if `label_smoothing` is out of range.

    Example:

    ```python
    isinstance(kgen.losses.Hinge(), kgen.losses.SeparableLoss)     # True
    ```
    """

    boundary = 0.0

    def __init__(self, label_smoothing=0.0):
        if not 0.0 <= label_smoothing < 0.5:
            raise ValueError(f"{type(self).__name__}: label_smoothing must be in [0, 0.5); got {label_smoothing}.")
        self.label_smoothing = float(label_smoothing)

    def if_real(self, logits):
        """The discriminator's cost of logits of real pictures, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define if_real().")

    def if_fake(self, logits):
        """The discriminator's cost of logits of generated pictures, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define if_fake().")

    def discriminator(self, real_logits, fake_logits):
        """The sum of both costs, `(batch,)`."""
        return self.partly_real(real_logits, 1.0 - self.label_smoothing) + self.if_fake(fake_logits)

    def partly_real(self, logits, share):
        """The discriminator's cost of pictures that are real by a share in [0, 1], a number or `(batch,)`."""
        if isinstance(share, float) and share == 1.0:
            return self.if_real(logits)
        return share * self.if_real(logits) + (1.0 - share) * self.if_fake(logits)

    def get_config(self):
        """The constructor's arguments."""
        return {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="kgen")
class NonSaturating(SeparableLoss):
    """L_G = -log D(G(z)); L_D = -log D(x) - log(1 - D(G(z))) [Goodfellow et al. 2014, "Generative adversarial nets"].

    With logits l and D = sigmoid(l), -log D = softplus(-l) and -log(1 - D) = softplus(l), which neither overflow nor
    lose their gradient when a player is sure.

    Args:
        label_smoothing: as of `SeparableLoss`.

    Example:

    ```python
    loss = kgen.losses.NonSaturating()
    loss.discriminator(real_logits=keras.ops.array([2.0]), fake_logits=keras.ops.array([-1.0]))
    ```
    """

    def generator(self, real_logits, fake_logits):
        """-log D(G(z)), `(batch,)`."""
        return ops.softplus(-fake_logits)

    def if_real(self, logits):
        """-log D(x), `(batch,)`."""
        return ops.softplus(-logits)

    def if_fake(self, logits):
        """-log(1 - D(G(z))), `(batch,)`."""
        return ops.softplus(logits)


@keras.saving.register_keras_serializable(package="kgen")
class Minimax(NonSaturating):
    """L_G = log(1 - D(G(z))), and L_D of `NonSaturating`: the zero-sum game of the same paper [Goodfellow et al. 2014].

    The generator's gradient vanishes where the discriminator is sure; `NonSaturating` is what the paper recommends.

    Args:
        label_smoothing: as of `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss=kgen.losses.Minimax())
    ```
    """

    def generator(self, real_logits, fake_logits):
        """log(1 - D(G(z))), `(batch,)`."""
        return -ops.softplus(fake_logits)


@keras.saving.register_keras_serializable(package="kgen")
class LeastSquares(SeparableLoss):
    """L_G = (l(G(z)) - 1)^2 / 2; L_D = (l(x) - 1)^2 / 2 + l(G(z))^2 / 2, of logits l [Mao et al. 2017, "Least squares
    generative adversarial networks"].

    Args:
        label_smoothing: as of `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss=kgen.losses.LeastSquares())
    ```
    """

    boundary = 0.5

    def generator(self, real_logits, fake_logits):
        """(l(G(z)) - 1)^2 / 2, `(batch,)`."""
        return self.if_real(fake_logits)

    def if_real(self, logits):
        """(l(x) - 1)^2 / 2, `(batch,)`."""
        return 0.5 * ops.square(logits - 1.0)

    def if_fake(self, logits):
        """l(G(z))^2 / 2, `(batch,)`."""
        return 0.5 * ops.square(logits)


@keras.saving.register_keras_serializable(package="kgen")
class Hinge(SeparableLoss):
    """L_G = -l(G(z)); L_D = max(0, 1 - l(x)) + max(0, 1 + l(G(z))), of logits l [Lim & Ye 2017, "Geometric GAN"; Miyato
    et al. 2018 with spectral normalisation].

    Args:
        label_smoothing: as of `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss="hinge", penalties=[])     # with a discriminator under spectral normalisation
    ```
    """

    def generator(self, real_logits, fake_logits):
        """-l(G(z)), `(batch,)`."""
        return -fake_logits

    def if_real(self, logits):
        """max(0, 1 - l(x)), `(batch,)`."""
        return ops.relu(1.0 - logits)

    def if_fake(self, logits):
        """max(0, 1 + l(G(z))), `(batch,)`."""
        return ops.relu(1.0 + logits)


@keras.saving.register_keras_serializable(package="kgen")
class Wasserstein(SeparableLoss):
    """L_G = -l(G(z)); L_D = l(G(z)) - l(x), of logits l [Arjovsky et al. 2017, "Wasserstein generative adversarial
    networks"].

    Needs a discriminator of bounded slope: a `GradientPenalty`, or spectral normalisation.

    Args:
        label_smoothing: as of `SeparableLoss`.

    Example:

    ```python
    gan.compile(loss="wasserstein", penalties=[kgen.losses.GradientPenalty(10.0)])     # WGAN-GP
    ```
    """

    boundary = None

    def generator(self, real_logits, fake_logits):
        """-l(G(z)), `(batch,)`."""
        return -fake_logits

    def if_real(self, logits):
        """-l(x), `(batch,)`."""
        return -logits

    def if_fake(self, logits):
        """l(G(z)), `(batch,)`."""
        return logits


@keras.saving.register_keras_serializable(package="kgen")
class Relativistic(AdversarialLoss):
    """L_G = softplus(l(x) - l(G(z))); L_D = softplus(l(G(z)) - l(x)), of logits l [Jolicoeur-Martineau 2019, "The
    relativistic discriminator"].

    Each generated picture is judged beside a real one: the pairing form of Huang et al. 2024, "The GAN is dead; long
    live the GAN!", there with R1 and R2.

    Example:

    ```python
    gan.compile(loss="relativistic", penalties=[kgen.losses.R1(1.0), kgen.losses.R2(1.0)])
    ```
    """

    def generator(self, real_logits, fake_logits):
        """softplus(l(x) - l(G(z))), `(batch,)`."""
        return ops.softplus(real_logits - fake_logits)

    def discriminator(self, real_logits, fake_logits):
        """softplus(l(G(z)) - l(x)), `(batch,)`."""
        return ops.softplus(fake_logits - real_logits)
