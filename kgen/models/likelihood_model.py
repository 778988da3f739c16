"""How likely pictures are under a model of latents, and what follows from it."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kgen import losses
from kgen.models.denoising import posterior_mean
from kgen.models.importance_bounds import importance_bounds
from kgen.models.latent_model import LatentModel
from kgen.models.network_inputs import outputs_of


class LikelihoodModel(LatentModel):
    """Base of the models of latents whose p(x|z), p(z) and q(z|x) are known, as numbers.

    A subclass gives `infer` and sets `reconstruction`.

    Args:
        *args, **kwargs: as of `LatentModel`.

    Example:

    ```python
    isinstance(kgen.models.VAE.from_image_shape((32, 32, 3)), kgen.models.likelihood_model.LikelihoodModel)     # True
    ```
    """

    # === How likely pictures are ===
    def elbo(self, images, labels=None, samples=1, seed=0, batch_size=64, verbose="auto"):
        """The evidence lower bound, E log p(x|z) - KL(q(z|x) || p(z)), which training raises.

        Args:
            images, labels: as of `encode`.
            samples: draws from q(z|x) for the expectation; more make it steadier, not higher.
            seed: an integer. The same one gives a picture the same draws, alone as in a batch.
            batch_size: draws computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float64 array `(N,)`, in nats.

        Raises:
            TypeError, ValueError: as of `encode`; and for `samples` below 1.
        """
        return self._bounds_of("elbo", images, labels, samples, seed, batch_size, verbose)[:, 1]

    def log_likelihood(self, images, labels=None, samples=50, seed=0, batch_size=64, verbose="auto"):
        """The importance-weighted bound of log p(x), or of log p(x|label) where there are labels.

            log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x),    z_k ~ q(z|x)

        [Burda et al. 2016, "Importance weighted autoencoders"]. With one draw it is, in expectation, the `elbo`; with
        more it rises to log p(x). The prior p(z) is the standard normal one, or what `fit_prior` found.

        What it is a number of depends on `reconstruction`: the probability of a picture for "bernoulli" and
        "discretized_logistic", a density of a unit of [-1, 1] for the others.

        Args:
            images, labels: as of `encode`.
            samples: K, draws from q(z|x).
            seed: an integer. The same one gives a picture the same draws, alone as in a batch.
            batch_size: draws computed at once, of one picture or of several.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float64 array `(N,)`, in nats.

        Raises:
            TypeError, ValueError: as of `encode`; and for `samples` below 1.
        """
        return self._bounds_of("log_likelihood", images, labels, samples, seed, batch_size, verbose)[:, 0]

    def anomaly_score(self, images, labels=None, samples=50, seed=0, batch_size=64, verbose="auto"):
        """How little pictures look like those that the model knows: minus `log_likelihood`, in nats.

        Pictures with little in them can be likely under a model that never saw any such [Nalisnick et al. 2019, "Do
        deep generative models know what they don't know?"]: compare scores of pictures of one kind.

        Args:
            images, labels, samples, seed, batch_size, verbose: as of `log_likelihood`.

        Returns:
            float64 array `(N,)`: the higher, the stranger.

        Raises:
            TypeError, ValueError: as of `log_likelihood`.
        """
        return -self._bounds_of("anomaly_score", images, labels, samples, seed, batch_size, verbose)[:, 0]

    def classify(self, images, samples=None, class_shares=None, seed=0, batch_size=64, verbose="auto"):
        """The class of pictures by Bayes' rule, p(label|x) = p(x|label) p(label) / sum, for a model with `num_classes`.

        p(x|label) is the `log_likelihood` bound under each label in turn, with the same draws for all of them. A model
        whose discriminator has an auxiliary classifier asks that one instead, unless `samples` says otherwise.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            samples: draws from q(z|x, label) for each label; None is 1.
            class_shares: p(label), `(num_classes,)`, up to a factor; None: all alike.
            seed: an integer; of the draws.
            batch_size: pictures, or draws, computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float32 array `(N, num_classes)`: the probability of each class.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for a model without classes, pictures of another shape or range, or shares that are none.
        """
        name = f"{type(self).__name__}.classify"
        if self.num_classes is None and self.discriminator is None:
            raise ValueError(f"{name}: this model knows no classes; build it with num_classes.")
        told = self.discriminator is not None and "labels" in outputs_of(self.discriminator)
        if self.num_classes is None or (told and samples is None):
            return super().classify(images, batch_size, verbose)
        _check_count(name, "samples", 1 if samples is None else samples)
        shares = np.ones(self.num_classes) if class_shares is None else np.asarray(class_shares, "float64")
        if shares.shape != (self.num_classes,) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
            raise ValueError(
                f"{name}: class_shares must be {self.num_classes} numbers that are not "
                f"negative, and not all 0; got {class_shares!r}."
            )
        inputs = self._taken_in("classify", images, None, seed, conditional=False)
        count, classes = len(images), np.eye(self.num_classes, dtype="float32")
        progress = _progress(count * self.num_classes, verbose)
        logits = np.empty((count, self.num_classes))
        for label in range(self.num_classes):
            given = {**inputs, "pooled": np.repeat(classes[label : label + 1], count, axis=0)}
            logits[:, label] = importance_bounds(self, given, samples or 1, batch_size, progress)[:, 0]
        with np.errstate(divide="ignore"):
            logits += np.log(shares)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (logits / logits.sum(axis=1, keepdims=True)).astype("float32")

    # === What follows from it ===
    def denoise(
        self,
        images,
        noise_std,
        labels=None,
        value_range=None,
        steps=150,
        samples=16,
        seed=0,
        batch_size=64,
        verbose="auto",
    ):
        """Pictures that noise was added to without it: the mean of p(x|noisy picture); see `kgen.models.denoising`.

        Args:
            images: noisy pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1]; or, with
                `value_range`, floats that noise may have taken out of their range.
            noise_std: standard deviation of the normal noise, where black is 0 and white is 1, whatever the range of
                the arrays.
            labels: integers `(N,)` for a model with `num_classes`, else None.
            value_range: None: noisy pictures were cut to their range, as uint8 are. `(0, 1)` or `(-1, 1)`: float
                pictures whose noise was left as it is; the range is that of the pictures without noise.
            steps: of the search for each picture's posterior, at least 1; each costs about six pictures generated.
            samples: pictures that are averaged, an even number.
            seed: an integer; of the draws.
            batch_size: pictures at once.
            verbose: 0: silent; 1 or "auto": a progress bar.

        Returns:
            uint8 array `(N, height, width, channels)`.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range, wrong labels, or a number out of range.
        """
        return posterior_mean(self, images, noise_std, labels, value_range, steps, samples, seed, batch_size, verbose)

    # === Row by row ===
    def bounds(self, inputs):
        """`(N, 2)`: for one draw from q(z|x), the logarithm of its importance weight, and its part of the ELBO."""
        mean, log_variance, latents, outputs = self._inferred(inputs, self._draws(inputs))
        likelihood = -self.reconstruction.loss(self.to_network(inputs["images"]), outputs)
        # Both densities without their common constant.
        posterior = -0.5 * ops.sum(ops.square(latents - mean) * ops.exp(-log_variance) + log_variance, axis=-1)
        weight = likelihood + self.log_prior(latents, inputs) - posterior
        bound = weight if self.prior else likelihood - losses.gaussian_kl(mean, log_variance)
        return ops.stack([weight, bound], axis=-1)

    def _bounds_of(self, asked, images, labels, samples, seed, batch_size, verbose):
        _check_count(f"{type(self).__name__}.{asked}", "samples", samples)
        inputs = self._taken_in(asked, images, labels, seed)
        return importance_bounds(self, inputs, samples, batch_size, _progress(len(images), verbose))


def _progress(count, verbose):
    """A progress bar of pictures, or None."""
    shown = verbose == 1 or (verbose == "auto" and count > 512)
    return keras.utils.Progbar(count, unit_name="image") if shown else None


def _check_count(owner, name, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{owner}: {name} must be an integer of at least 1; got {value!r}.")
