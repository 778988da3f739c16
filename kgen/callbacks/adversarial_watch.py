"""Watches for training that fails without an error: divergence, a discriminator that is too strong, mode collapse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kgen import checks
from kgen.models import GAN, VAE, TextToImage
from kgen.text import clean_prompts
from kgen.training import backend
from kgen.types import Array


class AdversarialWatch(keras.callbacks.Callback):
    """Stops training or lowers its learning rates if it diverges, the discriminator wins, or images collapse.

    It acts, and says why, if

    - a number in the logs, or a weight, is NaN or infinite: at once. Try a lower learning rate, a heavier penalty, or
      float32 instead of half precision;
    - `discriminator_accuracy`, the share of pairs of a real and a generated image in which the discriminator prefers
      the real one, stays at `threshold` or above for `patience` epochs: the generator learns little from a
      discriminator that is always right. Try a heavier penalty, a lower learning rate of the discriminator, a smaller
      one, more images, or `augmentation=kgen.layers.DiffAugment()`;
    - generated images stay too similar for `patience` epochs: their diversity is below `collapse` times the largest in
      this run. Diversity is the mean, over pairs of images, of the root mean squared difference of their pixels in
      [0, 1]. For a model with labels or prompts, only pairs with the same one count. Try a penalty such as `R1`, a
      larger batch, a lower learning rate, or another loss.

    The logs then also have `diversity`.

    Args:
        action: "stop"; or "lower_rate", which multiplies all learning rates by `factor`. If training diverged or
            collapsed, it first restores the weights and optimizer state of the last good epoch, which are kept in
            memory. After `max_actions` times it gives up and stops.
        threshold: of `discriminator_accuracy`, in (0.5, 1]. Ignored for a model without a discriminator.
        patience: epochs in a row, at least 1.
        collapse: share of the largest diversity, in (0, 1); None: diversity is not computed.
        num_images: how many images are generated after each epoch, at least 2.
        images: uint8 `(N, H, W, C)` real images whose diversity replaces the largest in this run; a few hundred are
            enough. Their labels do not matter.
        prompts: list of strings to generate from, for a `TextToImage`; without prompts, collapse is not checked.
        factor: what learning rates are multiplied by, in (0, 1).
        max_actions: how often to act before giving up, at least 1.
        seed: seed of the images, an integer.
        verbose: 1: prints why it acts; 0: silent. The attribute `reason` always says why; it is None until then.

    Raises:
        TypeError: if `images` is not a uint8 array; when training begins, for a model not from kgen, or for a
            learning-rate schedule, which cannot be lowered.
        ValueError: for an argument out of range, images of another shape than the model's, or prompts for a model that
            takes none.

    Example:

    ```python
    watch = kgen.callbacks.AdversarialWatch("lower_rate")
    gan.fit(images, epochs=100, callbacks=[watch])
    print(watch.reason)
    ```
    """

    def __init__(
        self,
        action: str = "stop",
        threshold: float = 0.99,
        patience: int = 5,
        collapse: float | None = 0.15,
        num_images: int = 64,
        images: Array | None = None,
        prompts: Sequence[str] | None = None,
        factor: float = 0.5,
        max_actions: int = 3,
        seed: int = 0,
        verbose: int = 1,
    ):
        super().__init__()
        if action not in ("stop", "lower_rate"):
            raise ValueError(f'AdversarialWatch: action must be "stop" or "lower_rate"; got {action!r}.')
        if not 0.5 < threshold <= 1.0:
            raise ValueError(f"AdversarialWatch: threshold must be in (0.5, 1]; got {threshold!r}.")
        for name, value in (("collapse", collapse), ("factor", factor)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"AdversarialWatch: {name} must be in (0, 1); got {value!r}.")
        if images is not None and (getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or len(images) < 2):
            got = f"{images.dtype} of shape {images.shape}" if hasattr(images, "dtype") else type(images).__name__
            raise TypeError(f"AdversarialWatch: images must be a uint8 array of at least 2 images; got {got}.")
        self.action = action
        self.threshold = threshold
        self.patience = checks.integer("AdversarialWatch", "patience", patience)
        self.collapse = collapse
        self.num_images = checks.integer("AdversarialWatch", "num_images", num_images, least=2)
        self.images = images
        self.prompts = None if prompts is None else clean_prompts(prompts, "AdversarialWatch")
        self.factor = factor
        self.max_actions = checks.integer("AdversarialWatch", "max_actions", max_actions)
        self.seed = checks.seed("AdversarialWatch", seed, optional=False)
        self.verbose = verbose
        self.reason: str | None = None

    # === While training ===
    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._check_model()
        # This callback reports values that are not finite, so they raise no error.
        self.model.guard.watched = True
        self.reason = None
        self._actions = self._epoch = 0
        self._epochs_lost = self._epochs_alike = 0
        self._stopped = self._went_back = False
        self._expected = 0.0 if self.images is None else diversity(self._some(self.images)[None])
        if self.action == "lower_rate":
            self._check_rates()
            self._well = "the beginning", [np.array(a) for a in self._values()]

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model.guard.begin()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        bad = [name for name, value in (logs or {}).items() if not np.isfinite(value)]
        if bad and not self._stopped:
            self._act(f"training diverged: {', '.join(bad)} {'are' if len(bad) > 1 else 'is'} not finite", go_back=True)
        elif not bad:
            self._went_back = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        if self._went_back:
            # The metrics were reset and are still empty: a mean of 0 would look like the best epoch of all.
            logs.update({name: float("nan") for name in logs if not name.startswith("val_")})
        if self._went_back or self._stopped:
            return
        # The logs were computed before the last step, and that step may have gone wrong.
        if not all(np.isfinite(value).all() for value in self._values() if value.dtype.kind not in "iub"):
            self._act("training diverged: weights are not finite", go_back=True)
            return
        self._judge_accuracy(logs)
        self._judge_diversity(logs)
        if self.action == "lower_rate" and not self._stopped and not self._epochs_alike:
            self._well = f"epoch {self._epoch}", [np.array(a) for a in self._values()]

    def _judge_accuracy(self, logs: dict[str, float]) -> None:
        accuracy = logs.get("discriminator_accuracy", 0.0)
        self._epochs_lost = self._epochs_lost + 1 if accuracy >= self.threshold else 0
        if self._epochs_lost >= self.patience:
            self._act(
                f"the discriminator was right about {accuracy:.1%} of pairs, and {self.threshold:.1%} or more in "
                f"{_times(self.patience)}, so the generator learns little from it"
            )

    def _judge_diversity(self, logs: dict[str, float]) -> None:
        if self.collapse is None or self._stopped or (self.prompts is None and isinstance(self.model, TextToImage)):
            return
        now = logs["diversity"] = diversity(self._generated())
        if self.images is None:
            self._expected = max(self._expected, now)
        self._epochs_alike = self._epochs_alike + 1 if now < self.collapse * self._expected else 0
        if self._epochs_alike >= self.patience:
            source = "in this run" if self.images is None else "of real images"
            self._act(
                f"generated images are nearly all alike: their diversity is {now:.4f}, against {self._expected:.4f} "
                f"{source}, and was below {self.collapse:g} times that in {_times(self.patience)}",
                go_back=True,
            )

    # === What it looks at ===
    def _generated(self) -> Array:
        """uint8 images `(groups, N, H, W, C)`; images of a group differ only in their latents."""
        model, classes = self.model, getattr(self.model, "num_classes", None)
        asked: dict[str, Any] = {}
        groups = 1
        if self.prompts is not None:
            asked, groups = {"prompts": self.prompts}, len(self.prompts)
        elif classes is not None:
            groups = min(classes, self.num_images // 2)
            asked = {"labels": np.arange(groups)}
        each = max(2, self.num_images // groups)
        images = model.generate(**asked, num_images=each, seed=self.seed, verbose=0)
        return images.reshape((groups, -1, *images.shape[1:]))

    def _some(self, images: Array) -> Array:
        return images[np.unique(np.linspace(0, len(images) - 1, max(self.num_images, 64)).astype(int))]

    def _values(self) -> list[Array]:
        """Arrays of all the model's state; they may be views of values that keep changing."""
        return [keras.ops.convert_to_numpy(variable) for variable in self._variables()]

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    # === What it does ===
    def _act(self, why: str, go_back: bool = False) -> None:
        self._actions += 1
        self._epochs_lost = self._epochs_alike = 0
        self._stopped = self.action == "stop" or self._actions > self.max_actions
        done = []
        if self.action == "lower_rate":
            # Within an epoch JAX holds the state elsewhere; changes to variables before this call would be overwritten.
            backend.attach_state(self.model)
            rates = {name: self._rate(optimizer) for name, optimizer in self.model.optimizer.by_phase.items()}
            if go_back:
                when, values = self._well
                for variable, value in zip(self._variables(), values, strict=True):
                    variable.assign(value)
                self.model.reset_metrics()
                self._went_back = True
                done.append(f"returns to the weights of {when}")
            for name, optimizer in self.model.optimizer.by_phase.items():
                optimizer.learning_rate = rates[name] if self._stopped else rates[name] * self.factor
            if not self._stopped:
                done.append(f"continues with {self.factor:g} times the learning rate")
        if self._stopped:
            self.model.stop_training = True
            times = f" after lowering the learning rate {_times(self.max_actions, 'time')}"
            done.append("stops" + (times if self.action == "lower_rate" else ""))
        self.reason = f"AdversarialWatch, epoch {self._epoch}: {why}. Training {', and '.join(done)}."
        if self.verbose:
            print(f"\n{self.reason}")

    @staticmethod
    def _rate(optimizer: Any) -> float:
        return float(keras.ops.convert_to_numpy(optimizer.learning_rate))

    # === Checks ===
    def _check_model(self) -> None:
        model, name = self.model, type(self.model).__name__
        if not isinstance(model, (GAN, VAE, TextToImage)):
            raise TypeError(f"AdversarialWatch: the model must be a kgen GAN, VAE or TextToImage; got {name}.")
        if self.prompts is not None and not isinstance(model, TextToImage):
            raise ValueError(f"AdversarialWatch: {name} takes no prompts; leave them out.")
        if self.images is not None and tuple(self.images.shape[1:]) != model.image_shape:
            raise ValueError(
                f"AdversarialWatch: images must have the model's image shape, {model.image_shape}; got "
                f"{tuple(self.images.shape[1:])}."
            )

    def _check_rates(self) -> None:
        for name, optimizer in self.model.optimizer.by_phase.items():
            try:
                optimizer.learning_rate = self._rate(optimizer)
            except (TypeError, AttributeError) as error:
                raise TypeError(
                    f"AdversarialWatch: the learning rate of phase {name!r} is a schedule, which cannot be lowered. "
                    'Compile with a number, or choose action="stop".'
                ) from error


def diversity(images: Array) -> float:
    """Mean, over pairs in the same group, of the root mean squared difference of their pixels in [0, 1].

    Args:
        images: uint8 `(groups, N, ...)`, N at least 2.
    """
    distances = []
    for group in np.asarray(images, "float32").reshape((*images.shape[:2], -1)) / 255.0:
        for i in range(1, len(group)):
            distances.append(np.sqrt(np.mean((group[i:] - group[i - 1]) ** 2, axis=1)))
    return float(np.concatenate(distances).mean())


def _times(count: int, what: str = "epoch") -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s" + (" in a row" if what == "epoch" else "")
