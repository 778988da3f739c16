"""What classifier, segmenter and their joint training share: a backbone, heads, averaged weights."""

from __future__ import annotations

import keras
from keras import layers, ops

from kgen import networks
from kgen.models.augmentation import Augmentation
from kgen.models.heads import Head
from kgen.models.image_model import ImageModel
from kgen.models.network_inputs import parted
from kgen.training import MovingAverage, Phase, backend, network_copy


class RecognitionModel(ImageModel):
    """Base of the models that answer questions about pictures: a backbone, and a head for each question.

    The backbone is copied, with its weights: training leaves the GAN or VAE that it came from as it was. The weights
    are averaged over training; the average is what answers, and what `evaluate` and validation judge.

    Args:
        backbone: a network from pictures, as of `kgen.networks.backbone_encoder`.
        heads: dict from name to `kgen.models.Head`.
        image_shape: `(height, width, channels)` of the pictures; None: what the backbone takes. Others are resized
            for it, and grey ones repeated where it wants three channels.
        value_range: `(low, high)`: what the backbone expects in place of the darkest and the brightest. Networks of
            kgen have -1 and 1, EfficientNet of `keras.applications` has 0 and 255.
        frozen: True: only the heads learn; False: everything does; or the name of a layer of the backbone, which stays
            as it is with all before it. It may be changed later, before `compile`.
        ema_momentum: of the average of the weights, in [0, 1).
        seed: integer or None; where training's random numbers begin.
    """

    def __init__(
        self,
        backbone,
        heads,
        image_shape=None,
        value_range=(-1.0, 1.0),
        frozen=False,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        owner = type(self).__name__
        wrong = [name for name, head in heads.items() if not isinstance(head, Head)]
        if wrong or not heads:
            raise TypeError(f"{owner}: heads must be a dict from name to kgen.models.Head; got {heads!r}.")
        if len(value_range) != 2 or not value_range[0] < value_range[1]:
            raise ValueError(f"{owner}: value_range must be (low, high), such as (0, 255); got {value_range!r}.")
        wanted = sorted({head.reads for head in heads.values()})
        # === Layers ===
        self.encoder = network_copy(networks.backbone_encoder(backbone, wanted, owner))
        takes = tuple(self.encoder.inputs[0].shape[1:])
        self.image_shape = takes if image_shape is None else tuple(image_shape)
        if len(self.image_shape) != 3 or None in self.image_shape:
            raise ValueError(
                f"{owner}: image_shape must be (height, width, channels); the backbone takes {takes}, and image_shape "
                f"is {image_shape}."
            )
        self.value_range = tuple(float(value) for value in value_range)
        inputs = keras.Input(self.image_shape, name="images")
        encoded = self.encoder(adapted(owner, inputs, takes, self.value_range))
        outputs = {name: head.attach(inputs, encoded, name) for name, head in heads.items()}
        self.network = keras.Model(inputs, outputs, name="network")
        self.average = MovingAverage(self.network, ema_momentum)
        self.ema_momentum = ema_momentum
        self.heads = dict(heads)
        self.frozen = frozen
        self.augmentation = Augmentation(owner, None, self.training_seeds)
        self.measured = {}
        self.built = True

    @property
    def frozen(self):
        """True, False, or the name of the last layer of the backbone that does not learn."""
        return self._frozen

    @frozen.setter
    def frozen(self, frozen):
        names = [layer.name for layer in self.encoder.layers]
        if not isinstance(frozen, bool) and frozen not in names:
            raise ValueError(
                f"{type(self).__name__}: frozen must be True, False or the name of a layer of the backbone, such as "
                f"{names[-1]!r}; got {frozen!r}."
            )
        last = names.index(frozen) if isinstance(frozen, str) else -1
        self.encoder.trainable = frozen is not True
        for index, layer in enumerate(self.encoder.layers if frozen is not True else []):
            layer.trainable = index > last
        self._frozen = frozen

    @property
    def targeted(self):
        """Names of the heads that must be told the answers."""
        return [name for name, head in self.heads.items() if head.targets]

    # === Training ===
    def compile(self, optimizer="auto", augmentation=None, **kwargs):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            augmentation: image preprocessing layers of Keras for training steps, or one; see `Augmentation`.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.
        """
        self.augmentation = Augmentation(f"{type(self).__name__}.compile", augmentation, self.training_seeds)
        super().compile(optimizer, **kwargs)
        metrics = {name: head.metric() for name, head in self.heads.items()}
        self.measured = {name: self.log_name(name, metric.name) for name, metric in metrics.items() if metric}
        self.trackers = {**self.trackers, **{key: metrics[name] for name, key in self.measured.items()}}

    def get_compile_config(self):
        return {**super().get_compile_config(), "augmentation": self.augmentation.get_config()} if self.compiled else {}

    def log_name(self, head, term):
        """What a term of a head's loss, or its measure, is called in the logs."""
        if len(self.heads) == 1:
            return term
        return head if term == "loss" else f"{head}_{term}"

    @property
    def terms(self):
        """Names of the parts of the loss."""
        return [self.log_name(name, term) for name, head in self.heads.items() for term in head.terms]

    def phases(self):
        """One: all that is not frozen."""
        terms = tuple(self.terms)
        return [
            Phase(
                "network",
                self.network_loss,
                self.network.trainable_variables,
                terms=terms if terms != ("loss",) else (),
            )
        ]

    def network_loss(self, batch, training):
        """The heads' losses; the measures are updated by the way."""
        images, targets = parted(batch)
        if training:
            images, targets = self.augmented(images, targets)
            outputs = self.network(images, training=True)
        else:
            outputs = self.average(images)
        with backend.without_gradients():
            for name, key in self.measured.items():
                self.heads[name].measure(self.trackers[key], targets.get(name, images), outputs[name])
        return self.losses_of(images, targets, outputs)

    def losses_of(self, images, targets, outputs):
        """Dict from each of `terms` to a tensor `(batch,)`; a head without targets is held against the pictures."""
        parts = {}
        for name, head in self.heads.items():
            for term, value in head.loss(targets.get(name, images), outputs[name]).items():
                parts[self.log_name(name, term)] = self.weight(name) * value
        return parts

    def weight(self, head):
        """Of a head's loss among the others."""
        return 1.0

    def augmented(self, images, targets):
        """Pictures and what belongs to them, changed alike."""
        labels = [name for name in targets if self.heads[name].targets == "labels"]
        masks = [name for name in targets if self.heads[name].targets == "masks"]
        widths = [targets[name].shape[-1] for name in labels]
        images, mixed, moved = self.augmentation(
            images,
            ops.concatenate([targets[name] for name in labels], axis=-1) if labels else None,
            ops.stack([targets[name] for name in masks], axis=-1) if masks else None,
        )
        targets = dict(targets)
        for i, name in enumerate(labels):
            targets[name] = mixed[:, sum(widths[:i]) : sum(widths[: i + 1])]
        for i, name in enumerate(masks):
            targets[name] = moved[..., i]
        return images, targets

    def after_step(self):
        """Updates the averaged weights."""
        self.average.update(self.network)

    # === What comes in ===
    def answers(self, given, y):
        """Dict from each head that is told the answers to them, of those that are there."""
        if isinstance(y, dict):
            given = {**given, **y}
        elif y is not None and len(self.targeted) == 1:
            given = {**given, self.targeted[0]: y}
        return {name: given[name] for name in self.targeted if given.get(name) is not None}

    def examine_others(self, others, count):
        """Checks the answers: that all are there, and in range."""
        owner, answers = type(self).__name__, self.answers(others, others.get("y"))
        missing = [name for name in self.targeted if name not in answers]
        if missing:
            form = missing[0] if len(self.targeted) == 1 else f"{{{missing[0]!r}: ...}}"
            raise ValueError(f"{owner}: it learns from {missing[0]}; give them: fit(images, {form}).")
        for name, targets in answers.items():
            self.heads[name].check(owner, targets, (count, *self.image_shape[:2]))

    def prepare(self, x, y=None):
        """The batch that the loss sees: `images` in [-1, 1], and the answers of each head that is told them."""
        images, given = (x["images"], x) if isinstance(x, dict) else (x, {})
        answers = self.answers(given, y)
        return {
            "images": self.to_network(images),
            **{name: self.heads[name].prepare(targets) for name, targets in answers.items()},
        }

    def numbered(self, y):
        """Answers with numbers for names."""
        owner = type(self).__name__
        if isinstance(y, dict):
            return {name: self.heads[name].numbered(owner, y[name]) if name in self.heads else y[name] for name in y}
        return self.heads[self.targeted[0]].numbered(owner, y) if len(self.targeted) == 1 and y is not None else y

    def fit(self, x=None, y=None, *, validation_data=None, **kwargs):
        """Trains on pictures and answers, as `ImageModel.fit`; classes may be given by name."""
        if isinstance(validation_data, tuple) and len(validation_data) > 1:
            validation_data = (validation_data[0], self.numbered(validation_data[1]), *validation_data[2:])
        return super().fit(x, self.numbered(y), validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """The losses and measures of the averaged weights; as `keras.Model.evaluate`."""
        return super().evaluate(x, self.numbered(y), **kwargs)

    # === Answers ===
    def ask(self, name, images, asked, batch_size=64, verbose="auto"):
        """The answers of one head about pictures as they come in; `asked` is the method, for errors."""
        self.find_range(images, some_of_many=True, owner=f"{type(self).__name__}.{asked}")

        def answer(inputs):
            return self.heads[name].answer(self.average(self.to_network(inputs["images"]))[name])

        answer.__name__ = f"answer_{name}"
        return self.in_batches(answer, {"images": images}, batch_size, verbose)

    def call(self, images):
        """Dict from each head to its outputs, of images in [-1, 1]."""
        return self.average(images)

    # === As a SavedModel ===
    def served_layers(self):
        """The averaged network."""
        return [self.average]

    def serving_signature(self):
        """`images`, uint8 `(N, height, width, channels)`."""
        import tensorflow as tf

        return [tf.TensorSpec([None, *self.image_shape], tf.uint8, name="images")]

    def serve(self, images):
        """Dict from each head to its answers."""
        outputs = self.average(self.to_network(images))
        return {name: head.answer(outputs[name]) for name, head in self.heads.items()}

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.encoder),
            "image_shape": self.image_shape,
            "value_range": self.value_range,
            "frozen": self.frozen,
            "ema_momentum": self.ema_momentum,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])})


def adapted(owner, images, takes, value_range):
    """Symbolic pictures in [-1, 1] as a backbone takes them, in its size, number of channels and range."""
    height, width, channels = takes
    low, high = value_range
    x = images
    if (low, high) != (-1.0, 1.0):
        x = layers.Rescaling((high - low) / 2, (high + low) / 2, name="to_range")(x)
    size = (height or x.shape[1], width or x.shape[2])
    if size != tuple(x.shape[1:3]):
        x = layers.Resizing(
            *size, interpolation="bilinear", antialias=True, data_format="channels_last", name="resize"
        )(x)
    if channels == 3 and x.shape[-1] == 1:
        x = layers.Concatenate(name="repeat_grey")([x, x, x])
    if channels not in (None, x.shape[-1]):
        raise ValueError(
            f"{owner}: the backbone takes pictures of {channels} channels; image_shape {tuple(images.shape[1:])} has "
            f"{x.shape[-1]}."
        )
    return x
