"""Images and captions in one space."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kgen import checks, losses, networks
from kgen.inference.shared_space import SharedSpace
from kgen.inputs import CaptionInput
from kgen.inputs.caption_input import feature_standards
from kgen.inputs.pixels import in_network_range
from kgen.layers import SimilarityScale
from kgen.metrics import DualFeatureExtractor
from kgen.models.image_model import ImageModel
from kgen.networks.interface import feed, split_batch
from kgen.networks.towers import check_towers, image_tower, named_image_tower
from kgen.objectives.contrast import Contrast
from kgen.serializable import serializable
from kgen.text import TextEncoder, clean_prompts
from kgen.training import Phase
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


@serializable
class DualEncoder(ImageModel):
    """An image tower and a text tower whose vectors point in the same direction if a caption fits an image.

    `fit` trains it on captioned images, like `TextToImage`: it learns which caption of a batch belongs to which image
    [Radford et al. 2021, "Learning transferable visual models from natural language supervision"; Zhai et al. 2023,
    "Sigmoid loss for language image pre-training"]. Then it classifies images by class names, finds images for texts
    and texts for images, measures how well generated images fit their prompts (`kgen.metrics.TextAlignment`), and helps
    to train their generator (`TextToImage.compile(matching=)`).

    With a frozen text encoder, whose features are computed once per caption, the text tower is a `TextProjection` on
    these features [a locked tower, as in Zhai et al. 2022, "LiT"]; a trainable text encoder learns too. Under
    `tf.distribute` the loss compares the captions of all replicas. By default the optimizer is Adam 1e-3, with
    gradients of at most unit norm. `compile(metrics=...)` takes Keras metrics of one-hot truth and probabilities
    `(batch, batch)`: which caption of the batch belongs to an image.

    Args:
        text_encoder: a `kgen.text.TextEncoder`, or what `TextEncoder.of` takes.
        image_shape: `(height, width, channels)` of the images.
        image_network: built `keras.Model` from images `(batch, H, W, C)` in [-1, 1] to vectors `(batch, any)`, which a
            dense layer projects to `embedding_dim`. Or "efficientnet_lite0", with its ImageNet weights. None: a small
            `MultiscaleEncoder`.
        text_network: built `keras.Model` from pooled features, or a dict of `pooled` and any of `tokens` and `mask`, to
            `(batch, embedding_dim)`. None: a `TextProjection`.
        embedding_dim: length of the vectors of images and captions.
        objective: a `kgen.losses.ContrastiveLoss` or its short name, "info_nce" or "sigmoid_contrastive"; it also sets
            the initial temperature, and whether there is a bias.
        sequence_length: tokens per caption; longer captions are cut. None: the encoder's own length, at most 32.
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if `text_encoder` holds no text encoder, or a network is not a `keras.Model`.
        ValueError: if the shapes of the networks do not fit, or the objective is unknown.

    Example:

    ```python
    data = kgen.data.captioned_folder("my_images", image_size=64)
    encoder = kgen.models.DualEncoder("all_minilm_l6_v2_en", image_shape=data.image_shape)
    encoder.compile()
    encoder.fit(data, epochs=50, batch_size=64)
    encoder.classify(images, ["cat", "dog"])                # probabilities (N, 2)
    encoder.retrieve("a black cat", data.images, top=5)     # indices and cosines of the five nearest
    ```
    """

    judges = True
    instead_of_predict = "encode_images, encode_texts, classify, retrieve or caption"
    image_input: CaptionInput

    def __init__(
        self,
        text_encoder: Any,
        image_shape: ImageShape = (64, 64, 3),
        image_network: str | keras.Model | None = None,
        text_network: keras.Model | None = None,
        embedding_dim: int = 128,
        objective: Any = "info_nce",
        sequence_length: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        text_encoder = TextEncoder.of(text_encoder, sequence_length)
        self.image_shape: Any = tuple(image_shape)
        self.sequence_length = text_encoder.sequence_length
        self.embedding_dim = checks.integer("DualEncoder", "embedding_dim", embedding_dim)
        pooled_dim, token_dim = text_encoder.pooled_dim, text_encoder.token_dim
        tower: Any = image_network
        if image_network is None:
            tower = image_tower(self.image_shape, 2 * embedding_dim)
        elif isinstance(image_network, str):
            tower = named_image_tower("DualEncoder", image_network, self.image_shape)
        if text_network is None:
            text_network = networks.TextProjection(pooled_dim, token_dim, embedding_dim, name="text_network")
        check_towers("DualEncoder", tower, text_network, self.image_shape, pooled_dim, embedding_dim)
        self.objective = losses.get("contrastive loss", objective)
        # === Layers ===
        self.text_encoder = text_encoder
        self.standardize_pooled, self.standardize_tokens = feature_standards(text_encoder)
        self.image_network = tower
        self.text_network = text_network
        self.image_projection = layers.Dense(embedding_dim, use_bias=False, dtype="float32", name="image_projection")
        self.image_projection.build((None, tower.output_shape[-1]))
        self.scale = SimilarityScale(
            self.objective.initial_scale,
            self.objective.largest_scale,
            self.objective.initial_bias,
            dtype="float32",
            name="scale",
        )
        self.scale.build((None, None))
        self.updates = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="float32", name="updates")
        # === Parts ===
        self.image_input = CaptionInput.of(self)
        self.contrast = Contrast(self)
        self.space = SharedSpace(self)
        self.built = True

    @property
    def trained(self) -> bool:
        """Whether any training step was made."""
        return float(ops.convert_to_numpy(self.updates)) > 0

    @property
    def temperature(self) -> float:
        """The learned temperature: the loss divides cosines by it."""
        return float(np.exp(-ops.convert_to_numpy(self.scale.log_scale)))

    # === Training ===
    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """Adam, with gradients of at most unit norm."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    def phases(self) -> list[Phase]:
        """Both towers together, with the temperature."""
        return self.contrast.phases()

    def logits(self, images: Tensor, features: dict[str, Tensor], training: bool = False) -> Tensor:
        """How well each image fits each caption, `(images, captions)`: scaled cosines."""
        return self.contrast.logits(self.image_vectors(images, training), self.text_vectors(features, training))

    def matching_loss(self, images: Tensor, features: dict[str, Tensor]) -> Tensor:
        """The objective of images in [-1, 1] with their captions' features, `(batch,)`; it trains nothing here.

        For training a generator: each image should fit its own caption better than the others of the batch, like the
        contrastive losses of Zhang et al. 2021, "Cross-modal contrastive learning for text-to-image generation".
        """
        return self.contrast.matching_loss(images, features)

    def image_vectors(self, images: Tensor, training: bool = False) -> Tensor:
        """Unit vectors `(batch, embedding_dim)` of images in [-1, 1]."""
        features = ops.cast(self.image_network(images, training=training), "float32")
        return ops.normalize(self.image_projection(features), axis=-1)

    def text_vectors(self, features: dict[str, Tensor], training: bool = False) -> Tensor:
        """Unit vectors `(batch, embedding_dim)` of text features, or of the text encoder's inputs."""
        encoded = self.image_input.encoded(features, training)
        vectors = feed(self.text_network, "pooled", encoded["pooled"], encoded, training)
        return ops.normalize(ops.cast(vectors, "float32"), axis=-1)

    def after_step(self) -> None:
        """Counts the step."""
        self.updates.assign(self.updates + 1.0)

    def judged(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Which caption of the batch fits each image, one-hot, and probabilities; equal captions count as the first."""
        return self.contrast.judged(batch)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """The logits of `{"images", **features}`, images in [-1, 1]."""
        return self.logits(*split_batch(inputs))

    # === Vectors ===
    def encode_images(
        self, images: Any, batch_size: int = 64, verbose: Verbose = "auto", value_range: ValueRange = None
    ) -> Array:
        """The vectors of images; all other methods take these in place of images.

        Args:
            images: `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            batch_size: images computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`. None: [-1, 1] if any value is negative, else the
                range of the training images, or [0, 1] if that is unknown.

        Returns:
            float32 `(N, embedding_dim)`, each of length 1.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range.
        """
        checked = self.image_input.images(images, "DualEncoder.encode_images", value_range=value_range)
        return self.graphs.in_batches(self.embed_images, {"images": checked}, batch_size, verbose)

    def encode_texts(self, texts: Any, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """The vectors of a list of strings; otherwise as in `encode_images`.

        Raises:
            TypeError: if `texts` is not a list of strings.
            ValueError: for an empty list, or an empty string.
        """
        texts = clean_prompts(texts, "DualEncoder.encode_texts")
        different = list(dict.fromkeys(texts))
        features = self.text_encoder.encode(different, batch_size, verbose)
        rows = {text: row for row, text in enumerate(different)}
        return self.graphs.in_batches(self.embed_texts, features, batch_size, verbose)[[rows[text] for text in texts]]

    def embed_images(self, inputs: dict[str, Tensor]) -> Tensor:
        """Unit vectors from a dict of `images`, uint8 or in [-1, 1]: the graph of `encode_images`."""
        return self.image_vectors(in_network_range(inputs["images"]))

    def embed_texts(self, features: dict[str, Tensor]) -> Tensor:
        """Unit vectors from the text encoder's features: the graph of `encode_texts`."""
        return self.text_vectors(features)

    def as_feature_extractor(self) -> DualFeatureExtractor:
        """This model as a `kgen.metrics.DualFeatureExtractor`, for `TextAlignment` and other metrics."""
        images = keras.Input(self.image_shape, name="images")
        network = keras.Model(images, self.image_vectors(images), name=self.name)
        return DualFeatureExtractor(network, self.encode_texts, image_size=self.image_shape[:2])

    # === What vectors are for ===
    def similarity(self, images: Any, texts: Any, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """Cosines `(images, texts)` float32, from -1 to 1, of each image with each text.

        Args:
            images: as in `encode_images`, or their vectors.
            texts: as in `encode_texts`, or their vectors.
            batch_size, verbose: as in `encode_images`.
        """
        return self.space.similarity(images, texts, batch_size, verbose)

    def classify(
        self,
        images: Any,
        class_names: Any,
        *,
        template: Any = "a picture of {}",
        top: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> Any:
        """The classes of images, by class names that training need not have seen: zero-shot classification.

        P(name) is the softmax, over the names, of the logits of the image with `template.format(name)`.

        Args:
            images: as in `encode_images`, or their vectors.
            class_names: at least two different strings.
            template: a string that contains `{}`; or a list of such strings, whose vectors are averaged.
            top: how many of the most probable classes to give for each image; None: the probabilities of all.
            batch_size, verbose: as in `encode_images`.

        Returns:
            float32 array `(N, names)`; with `top` a list of N lists of `(name, probability)`, best first.

        Raises:
            ValueError: for fewer than two names, equal names, a template without `{}`, or a wrong `top`.
        """
        return self.space.classify(images, class_names, template, top, batch_size, verbose)

    def retrieve(
        self, query: Any, bank: Any, top: int = 5, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> tuple[Array, Array]:
        """The entries of a bank nearest to a query: images for a text, texts for an image, or entries of the same kind.

        Args:
            query: a text or a list of texts; an image `(H, W, C)` or images `(N, H, W, C)`; or vectors.
            bank: images, what `kgen.data` loads (its images), a list of texts, or the vectors of any of these.
            top: how many to return; all if the bank has fewer.
            batch_size, verbose: as in `encode_images`.

        Returns:
            `(indices, cosines)`, both `(top,)` for a single query, else `(N, top)`, the best first.

        Raises:
            TypeError, ValueError: for a query or bank that is not images, texts or vectors; or `top` below 1.
        """
        return self.space.retrieve(query, bank, top, batch_size, verbose)

    def caption(
        self, images: Any, bank: list[str], top: int = 1, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> Any:
        """Captions for images, chosen from a bank of texts.

        Args:
            images: an image `(H, W, C)`, images `(N, H, W, C)`, or their vectors.
            bank: list of texts.
            top: how many for each image.
            batch_size, verbose: as in `encode_images`.

        Returns:
            A list with a string for each image, or with `top` above 1 a list of strings, best first; for a single image
            only its own entry.
        """
        return self.space.caption(images, bank, top, batch_size, verbose)

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """Both towers, the text encoder with its tokenizer, and the standards of its features."""
        return [
            *self.text_encoder.served_layers(),
            self.standardize_pooled,
            self.standardize_tokens,
            self.image_network,
            self.image_projection,
            self.text_network,
        ]

    def serving_signature(self) -> list:
        """`images`, uint8 `(N, H, W, C)`, and `texts`, strings `(M,)`."""
        images = keras.InputSpec("uint8", (None, *self.image_shape), name="images")
        return [images, keras.InputSpec("string", (None,), name="texts")]

    def serve(self, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        """`{"images": (N, D), "texts": (M, D), "cosines": (N, M)}`."""
        return self._compared(images, self.text_encoder(self.text_encoder.preprocess(texts)))

    def tensor_signature(self) -> dict[str, keras.InputSpec]:
        """`images`, uint8 `(N, H, W, C)`, and the tokens of texts, int32 `(M, sequence_length)`."""
        images = keras.InputSpec(shape=(None, *self.image_shape), dtype="uint8", name="images")
        return {"images": images, **self.text_encoder.token_signature()}

    def serve_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same as `serve`, for texts with these tokens."""
        return self._compared(inputs["images"], self.text_encoder.from_tokens(inputs))

    def _compared(self, images, features):
        of_images, of_texts = self.embed_images({"images": images}), self.embed_texts(features)
        return {"images": of_images, "texts": of_texts, "cosines": ops.matmul(of_images, ops.transpose(of_texts))}
