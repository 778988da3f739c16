"""Losses of the two players of a generative adversarial network, from logits, one value per sample."""

from __future__ import annotations

import keras
from keras import ops

from kgen.losses.configurable import Configurable


class AdversarialLoss(Configurable):
    """What each player of a GAN minimises, given the discriminator's logits.

    A subclass gives `generator` and `discriminator`; each takes logits of shape `(batch,)` and returns one value per
    sample. The generator may look at the real logits too, as relativistic losses do.

    Example:

    ```python
    class LeastSquares(kgen.losses.AdversarialLoss):
        def generator(self, real_logits, fake_logits):
            return (fake_logits - 1.0) ** 2

        def discriminator(self, real_logits, fake_logits):
            return (real_logits - 1.0) ** 2 + fake_logits**2
    ```
    """

    def generator(self, real_logits, fake_logits):
        """The generator's loss, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define generator().")

    def discriminator(self, real_logits, fake_logits):
        """The discriminator's loss, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define discriminator().")


@keras.saving.register_keras_serializable(package="kgen")
class NonSaturating(AdversarialLoss):
    """L_G = -log D(G(z)); L_D = -log D(x) - log(1 - D(G(z))) [Goodfellow et al. 2014, "Generative adversarial nets"].

    With logits l and D = sigmoid(l), -log D = softplus(-l) and -log(1 - D) = softplus(l), which neither overflow nor
    lose their gradient when a player is sure.

    Example:

    ```python
    loss = kgen.losses.NonSaturating()
    loss.discriminator(real_logits=keras.ops.array([2.0]), fake_logits=keras.ops.array([-1.0]))
    ```
    """

    def generator(self, real_logits, fake_logits):
        """-log D(G(z)), `(batch,)`."""
        return ops.softplus(-fake_logits)

    def discriminator(self, real_logits, fake_logits):
        """-log D(x) - log(1 - D(G(z))), `(batch,)`."""
        return ops.softplus(-real_logits) + ops.softplus(fake_logits)
