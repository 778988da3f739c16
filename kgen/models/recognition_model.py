"""What classifier, segmenter and multi-task model share: a backbone, heads, averaged weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import networks
from kgen.heads import Head
from kgen.inputs import AnswerInput, pixels
from kgen.models.image_model import ImageModel
from kgen.networks.backbone import adapted_images
from kgen.networks.interface import split_batch
from kgen.objectives.augmentation import Augmentation
from kgen.training import MovingAverage, Phase, backend, network_copy
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


class RecognitionModel(ImageModel):
    """Base of the models that say what images show: a backbone, and a head for each question.

    The weights are averaged over training. The average answers questions, and `evaluate` and validation judge it.

    A subclass calls `assemble` in its constructor and `compile_heads` in its `compile`. Its constructor takes the
    arguments of `assemble`, perhaps except the heads, as attributes hold them.
    """

    def assemble(
        self,
        backbone: str | keras.Model,
        heads: dict[str, Head],
        image_shape: ImageShape | None,
        value_range: tuple[float, float],
        frozen: bool | str,
        ema_momentum: float,
    ) -> None:
        """Makes the network from a backbone and heads; the arguments are those of `MultiTaskModel`."""
        owner = type(self).__name__
        if not heads or not all(isinstance(head, Head) for head in heads.values()):
            raise TypeError(f"{owner}: heads must be a dict from name to kgen.heads.Head; got {heads!r}.")
        if len(value_range) != 2 or not value_range[0] < value_range[1]:
            raise ValueError(f"{owner}: value_range must be (low, high), such as (0, 255); got {value_range!r}.")
        wanted = sorted({head.reads for head in heads.values()})
        if isinstance(backbone, str):
            # Maps must lie on the image's own grid.
            size = image_shape[:2] if image_shape is not None and "maps" in wanted else None
            backbone, value_range = networks.named_backbone(owner, backbone, size)
        # === Layers ===
        # A copy, so that training does not change the GAN or VAE that the backbone came from.
        self.backbone = network_copy(networks.backbone_encoder(backbone, wanted, owner))
        takes = tuple(self.backbone.inputs[0].shape[1:])
        self.image_shape = takes if image_shape is None else tuple(image_shape)
        if len(self.image_shape) != 3 or None in self.image_shape:
            raise ValueError(
                f"{owner}: image_shape must be (height, width, channels); the backbone takes {takes}, and image_shape "
                f"is {image_shape}."
            )
        self.value_range = tuple(float(value) for value in value_range)
        inputs = keras.Input(self.image_shape, name="images")
        encoded = self.backbone(adapted_images(owner, inputs, takes, self.value_range))
        outputs = {name: head.attach(inputs, encoded, name) for name, head in heads.items()}
        self.network = keras.Model(inputs, outputs, name="network")
        self.average = MovingAverage(self.network, ema_momentum)
        self.ema_momentum = ema_momentum
        self.frozen = frozen
        # === Parts ===
        self.heads: dict[str, Any] = dict(heads)
        targets = {name: head for name, head in heads.items() if head.targets}
        self.image_input = AnswerInput(owner, self.image_shape, self.float_scale, targets)
        self.augmentation = Augmentation(owner, None, self.training_seeds)
        self.measured: dict[str, str] = {}
        self.built = True

    @property
    def frozen(self) -> bool | str:
        """True, False, or the name of the last layer of the backbone that does not learn."""
        return self._frozen

    @frozen.setter
    def frozen(self, frozen: bool | str) -> None:
        names = [layer.name for layer in self.backbone.layers]
        if not isinstance(frozen, bool) and frozen not in names:
            raise ValueError(
                f"{type(self).__name__}: frozen must be True, False or the name of a layer of the backbone, such as "
                f"{names[-1]!r}; got {frozen!r}."
            )
        last = names.index(frozen) if isinstance(frozen, str) else -1
        self.backbone.trainable = frozen is not True
        for index, layer in enumerate(self.backbone.layers if frozen is not True else []):
            layer.trainable = index > last
        self._frozen = frozen

    # === Training ===
    def compile_heads(self, optimizer: Any, augmentation: Any, config: dict[str, Any], **kwargs: Any) -> None:
        """What `compile` does in every subclass.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            augmentation: one or more Keras image preprocessing layers for training steps; see `Augmentation`.
            config: the other arguments of the subclass's `compile`.
            **kwargs: `metrics`, `run_eagerly`, `steps_per_execution`, `jit_compile`.
        """
        self.augmentation = Augmentation(f"{type(self).__name__}.compile", augmentation, self.training_seeds)
        super().compile(optimizer, config={**config, "augmentation": augmentation}, **kwargs)
        metrics = {name: head.metric() for name, head in self.heads.items()}
        self.measured = {name: self.log_name(name, metric.name) for name, metric in metrics.items() if metric}
        self.trackers = {**self.trackers, **{key: metrics[name] for name, key in self.measured.items()}}

    def log_name(self, head: str, term: str) -> str:
        """The name in the logs of a term of a head's loss, or of its metric."""
        if len(self.heads) == 1:
            return term
        return head if term == "loss" else f"{head}_{term}"

    @property
    def terms(self) -> list[str]:
        """Names of the parts of the loss."""
        return [self.log_name(name, term) for name, head in self.heads.items() for term in head.terms]

    def phases(self) -> list[Phase]:
        """One phase, which trains all weights that are not frozen."""
        terms = tuple(self.terms)
        terms = terms if terms != ("loss",) else ()
        return [Phase("network", self.network_loss, self.network.trainable_variables, terms=terms)]

    def weighted(self, batch: dict[str, Tensor], sample_weight: Any) -> dict[str, Tensor]:
        """A prepared batch with the weights of its samples."""
        return {**batch, "sample_weight": self.image_input.weights(sample_weight)}

    def network_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The heads' losses; also updates their metrics."""
        images, targets = split_batch(batch)
        weights = targets.pop("sample_weight", {})
        if training:
            images, targets, weights = self.augmented(images, targets, weights)
            outputs = self.network(images, training=True)
        else:
            outputs = self.average(images)
        with backend.without_gradients():
            for name, key in self.measured.items():
                weight = weights.get(name, weights.get(""))
                self.heads[name].measure(self.trackers[key], targets.get(name, images), outputs[name], weight)
        parts = self.losses_of(images, targets, outputs, self.image_input.class_weights if training else {})
        of_terms = {self.log_name(name, term): name for name, head in self.heads.items() for term in head.terms}
        for term, value in parts.items():
            # The teacher's term belongs to no head; but then there is only one head.
            name = of_terms.get(term, next(iter(self.heads)))
            if (weight := weights.get(name, weights.get(""))) is not None:
                parts[term] = weight * value
        return parts

    def losses_of(
        self,
        images: Tensor,
        targets: dict[str, Tensor],
        outputs: dict[str, Tensor],
        class_weights: dict[str, Any],
    ) -> dict[str, Tensor]:
        """Dict from each of `terms` to a tensor `(batch,)`; a head without targets is compared with the images."""
        parts = {}
        for name, head in self.heads.items():
            truth = targets.get(name, images)
            values = head.loss(truth, outputs[name])
            if name in class_weights:
                values = head.class_weighted(values, truth, outputs[name], ops.convert_to_tensor(class_weights[name]))
            for term, value in values.items():
                parts[self.log_name(name, term)] = self.weight(name) * value
        return parts

    def weight(self, head: str) -> float:
        """The weight of a head's loss among the others."""
        return 1.0

    def augmented(
        self, images: Tensor, targets: dict[str, Tensor], weights: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Images with their targets and weights, all augmented the same way: mixed images have a mixed weight."""
        labels = [name for name in targets if self.heads[name].targets == "labels"]
        masks = [name for name in targets if self.heads[name].targets == "masks"]
        rows: dict[tuple[str, str], Tensor] = {("label", name): targets[name] for name in labels}
        rows |= {("weight", name): weight[:, None] for name, weight in weights.items()}
        images, mixed, moved = self.augmentation(
            images,
            ops.concatenate(list(rows.values()), axis=-1) if rows else None,
            ops.stack([targets[name] for name in masks], axis=-1) if masks else None,
        )
        targets, weights, start = dict(targets), {}, 0
        for (kind, name), row in rows.items():
            part, start = mixed[:, start : start + row.shape[-1]], start + row.shape[-1]
            if kind == "label":
                targets[name] = part
            else:
                weights[name] = part[:, 0]
        for i, name in enumerate(masks):
            targets[name] = moved[..., i]
        return images, targets, weights

    def after_step(self) -> None:
        """Updates the averaged weights."""
        self.average.update(self.network)

    # === Answers ===
    def ask(
        self,
        name: str,
        images: Any,
        method: str,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """The answers of one head about images; `method` is the name of the calling method, for errors."""

        def answer(inputs):
            outputs = self.average(pixels.in_network_range(inputs["images"]))
            return self.heads[name].answer(outputs[name])

        answer.__name__ = f"answer_{name}"
        checked = self.image_input.images(images, f"{type(self).__name__}.{method}", value_range=value_range)
        return self.graphs.in_batches(answer, {"images": checked}, batch_size, verbose)

    def call(self, images: Tensor) -> Any:
        """Dict from each head to its outputs for images in [-1, 1]."""
        return self.average(images)

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """The averaged network."""
        return [self.average]

    def serving_signature(self) -> list:
        """`images`, uint8 `(N, height, width, channels)`."""
        return [keras.InputSpec("uint8", (None, *self.image_shape), name="images")]

    def served_answers(self, images: Tensor) -> dict[str, Tensor]:
        """Dict from each head to its answers about uint8 images, for `serve`."""
        outputs = self.average(pixels.in_network_range(images))
        return {name: head.answer(outputs[name]) for name, head in self.heads.items()}
