"""Pictures and captions in one space."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from kgen import losses, networks
from kgen.layers import SimilarityScale
from kgen.metrics import DualFeatureExtractor
from kgen.models.captioned_model import CaptionedModel
from kgen.models.generative_model import check_network, named_input
from kgen.models.network_inputs import feed, parted
from kgen.models.shared_space import SharedSpace
from kgen.text import clean_prompts
from kgen.training import Phase


@keras.saving.register_keras_serializable(package="kgen")
class DualEncoder(SharedSpace, CaptionedModel):
    """An image tower and a text tower whose vectors point in one direction where a caption fits a picture.

    Trained by `fit` on the captioned pictures that `TextToImage` takes, to tell the captions of a batch apart
    [Radford et al. 2021, "Learning transferable visual models from natural language supervision"; Zhai et al. 2023,
    "Sigmoid loss for language image pre-training"]. Then it names what pictures show, finds pictures for words and
    words for pictures, measures how well generated pictures fit their prompts (`kgen.metrics.TextAlignment`), and helps
    to train what generates them (`TextToImage.compile(matching=)`).

    With a frozen text encoder, whose features are computed once per caption, the text tower is a `TextProjection` on
    them [a locked tower, as in Zhai et al. 2022, "LiT"]; a trainable one learns along. Under `tf.distribute` each
    replica tells the captions of its own share of the batch apart: a share should be large.

    Args:
        text_encoder: a `kgen.text.TextEncoder`, or whatever `TextEncoder.of` takes.
        image_shape: `(height, width, channels)` of the pictures.
        image_network: built `keras.Model` from images `(batch, H, W, C)` in [-1, 1] to vectors `(batch, any)`; a dense
            layer brings them to `embedding_dim`. None: a small `MultiscaleEncoder`.
        text_network: built `keras.Model` from pooled features, or a dict of `pooled` and any of `tokens` and `mask`, to
            `(batch, embedding_dim)`. None: a `TextProjection`.
        embedding_dim: length of the vectors of pictures and captions.
        objective: a `kgen.losses.ContrastiveLoss` or its short name, "info_nce" or "sigmoid_contrastive"; it also says
            where the learned temperature begins, and whether there is a bias.
        sequence_length: tokens to a caption; longer ones are cut. None: the encoder's own, at most 32.
        seed: integer or None; where training's random numbers begin.

    Raises:
        TypeError: if there is no text encoder in `text_encoder`, or a network is none.
        ValueError: if the shapes of the networks do not fit, or the objective is none.

    Example:

    ```python
    data = kgen.data.captioned_folder("my_pictures", image_size=64)
    encoder = kgen.models.DualEncoder("all_minilm_l6_v2_en", image_shape=data.image_shape)
    encoder.compile()
    encoder.fit(data, epochs=50, batch_size=64)
    encoder.classify(pictures, ["cat", "dog"])              # probabilities (N, 2)
    encoder.retrieve("a black cat", data.images, top=5)     # indices and cosines of the five nearest
    ```
    """

    def __init__(
        self,
        text_encoder,
        image_shape=(64, 64, 3),
        image_network=None,
        text_network=None,
        embedding_dim=128,
        objective="info_nce",
        sequence_length=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(text_encoder, image_shape, sequence_length, seed, **kwargs)
        if isinstance(embedding_dim, bool) or not isinstance(embedding_dim, int) or embedding_dim < 1:
            raise ValueError(f"DualEncoder: embedding_dim must be a positive integer; got {embedding_dim!r}.")
        pooled_dim, token_dim = self.text_encoder.pooled_dim, self.text_encoder.token_dim
        if image_network is None:
            image_network = _image_tower(self.image_shape, 2 * embedding_dim)
        if text_network is None:
            text_network = networks.TextProjection(pooled_dim, token_dim, embedding_dim, name="text_network")
        _check_networks(image_network, text_network, self.image_shape, embedding_dim, pooled_dim)
        self.embedding_dim = embedding_dim
        self.objective = losses.get("contrastive loss", objective)
        # === Layers ===
        self.image_network = image_network
        self.text_network = text_network
        self.image_projection = layers.Dense(embedding_dim, use_bias=False, dtype="float32", name="image_projection")
        self.image_projection.build((None, image_network.output_shape[-1]))
        self.scale = SimilarityScale(
            self.objective.initial_scale,
            self.objective.largest_scale,
            self.objective.initial_bias,
            dtype="float32",
            name="scale",
        )
        self.scale.build((None, None))
        self.updates = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="float32", name="updates")
        self.built = True

    @property
    def trained(self):
        """Whether any training step was made."""
        return float(ops.convert_to_numpy(self.updates)) > 0

    @property
    def temperature(self):
        """What cosines are divided by in the loss, as learned so far."""
        return float(np.exp(-ops.convert_to_numpy(self.scale.log_scale)))

    # === Training ===
    def compile(self, optimizer="auto", **kwargs):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3, gradients of at most unit norm), or another one.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for `metrics`, which measure generated pictures, and for losses: those are the constructor's.
        """
        if "metrics" in kwargs:
            raise TypeError("DualEncoder.compile: metrics measure generated pictures, and this model draws none.")
        super().compile(optimizer, **kwargs)

    def default_optimizer(self, phase):
        """Adam, with gradients of at most unit norm."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    def phases(self):
        """Both towers together, with the temperature."""
        parts = (self.image_network, self.image_projection, self.text_network, self.scale, self.text_encoder)
        variables = [variable for part in parts for variable in part.trainable_variables]
        return [Phase("towers", self.contrast, variables, measures=("matching_accuracy",))]

    def contrast(self, batch, training):
        """The objective on a batch, and how often the best match within it is the right one."""
        images, features = parted(batch)
        logits, same = self.logits(images, features, training), same_captions(features)
        return {
            "loss": self.objective.loss(logits, same),
            "matching_accuracy": losses.matching_accuracy(logits, same),
        }

    def logits(self, images, features, training=False):
        """How well each picture fits each caption, `(pictures, captions)`: scaled cosines."""
        vectors = self.image_vectors(images, training), self.text_vectors(features, training)
        return self.scale(ops.matmul(vectors[0], ops.transpose(vectors[1])))

    def matching_loss(self, images, features):
        """The objective of pictures in [-1, 1] beside their captions' features, `(batch,)`, with nothing trained here.

        For the training of what generates the pictures: each is to fit its own caption better than the others of the
        batch, as by the contrastive losses of Zhang et al. 2021, "Cross-modal contrastive learning for text-to-image
        generation".
        """
        return self.objective.loss(self.logits(images, features), same_captions(features))

    def image_vectors(self, images, training=False):
        """Unit vectors `(batch, embedding_dim)` of images in [-1, 1]."""
        features = ops.cast(self.image_network(images, training=training), "float32")
        return ops.normalize(self.image_projection(features), axis=-1)

    def text_vectors(self, features, training=False):
        """Unit vectors `(batch, embedding_dim)` of what `encoded` takes."""
        encoded = self.encoded(features, training)
        vectors = feed(self.text_network, "pooled", encoded["pooled"], encoded, training)
        return ops.normalize(ops.cast(vectors, "float32"), axis=-1)

    def after_step(self):
        """Counts the step."""
        self.updates.assign(self.updates + 1.0)

    def call(self, inputs):
        """The logits of `{"images", **features}`, images in [-1, 1]."""
        return self.logits(*parted(inputs))

    # === Vectors ===
    def encode_images(self, images, batch_size=64, verbose="auto"):
        """The vectors of pictures.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float32 `(N, embedding_dim)`, each of length 1.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range.
        """
        self.find_range(images, some_of_many=True, owner="DualEncoder.encode_images")
        return self.in_batches(self.embed_images, {"images": images}, batch_size, verbose)

    def encode_texts(self, texts, batch_size=64, verbose="auto"):
        """The vectors of texts; as `encode_images`, of a list of strings.

        Raises:
            TypeError: if `texts` is no list, or one is no string.
            ValueError: if there is none, or an empty one.
        """
        texts = clean_prompts(texts, "DualEncoder.encode_texts")
        different = list(dict.fromkeys(texts))
        features = self.text_encoder.encode(different, batch_size, verbose)
        rows = {text: row for row, text in enumerate(different)}
        return self.in_batches(self.embed_texts, features, batch_size, verbose)[[rows[text] for text in texts]]

    def embed_images(self, inputs):
        """Unit vectors from a dict of `images` as they come in: the graph of `encode_images`."""
        return self.image_vectors(self.to_network(inputs["images"]))

    def embed_texts(self, features):
        """Unit vectors from the text encoder's features: the graph of `encode_texts`."""
        return self.text_vectors(features)

    def as_feature_extractor(self):
        """The `kgen.metrics.DualFeatureExtractor` that `TextAlignment` and other measures make of this model."""
        images = keras.Input(self.image_shape, name="images")
        network = keras.Model(images, self.image_vectors(images), name=self.name)
        return DualFeatureExtractor(network, self.encode_texts, image_size=self.image_shape[:2])

    # === As a SavedModel ===
    def served_layers(self):
        """Both towers, the text encoder with its tokenizer, and the standards of its features."""
        return [
            self.text_encoder,
            self.text_encoder.preprocessor,
            self.standardize_pooled,
            self.standardize_tokens,
            self.image_network,
            self.image_projection,
            self.text_network,
        ]

    def serving_signature(self):
        """`images`, uint8 `(N, H, W, C)`, and `texts`, strings `(M,)`."""
        import tensorflow as tf

        images = tf.TensorSpec([None, *self.image_shape], tf.uint8, name="images")
        return [images, tf.TensorSpec([None], tf.string, name="texts")]

    def serve(self, images, texts):
        """`{"images": (N, D), "texts": (M, D), "cosines": (N, M)}`. Load it after `import tensorflow_text`."""
        pictures = self.embed_images({"images": images})
        captions = self.embed_texts(self.text_encoder(self.text_encoder.preprocess(texts)))
        return {"images": pictures, "texts": captions, "cosines": ops.matmul(pictures, ops.transpose(captions))}

    # === Config ===
    def get_config(self):
        parts = {key: getattr(self, key) for key in ("image_network", "text_network", "objective")}
        serialized = {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()}
        return {**super().get_config(), **serialized, "embedding_dim": self.embedding_dim}

    @classmethod
    def from_config(cls, config):
        keys = ("text_encoder", "image_network", "text_network", "objective")
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in keys}
        return cls(**{**config, **parts})


def same_captions(features):
    """Which captions of a batch are equal, bool `(batch, batch)`, from their features or tokens."""
    told_by = features["token_ids"] if "token_ids" in features else features["pooled"]
    return ops.all(ops.equal(told_by[:, None], told_by[None, :]), axis=-1)


def _image_tower(image_shape, output_dim):
    # Convolutions begin at about 16x16, which a few cores can afford, and end where GANs' do, at 4 to 7.
    side = min(image_shape[:2])
    patch = max(1, side // 16)
    end = side // patch
    while end > 7 and end % 2 == 0:
        end //= 2
    return networks.MultiscaleEncoder(image_shape, output_dim, filters=128, end=end, patch=patch, name="image_network")


def _check_networks(image_network, text_network, image_shape, embedding_dim, pooled_dim):
    check_network("DualEncoder", "image_network", image_network)
    images = named_input("DualEncoder", image_network, "images")
    if tuple(images.shape[1:]) != image_shape or len(image_network.output_shape) != 2:
        raise ValueError(
            f"DualEncoder: image_network must take images of shape {image_shape} and give vectors (batch, any); it "
            f"takes {tuple(images.shape[1:])} and gives {image_network.output_shape}."
        )
    check_network("DualEncoder", "text_network", text_network)
    pooled = named_input("DualEncoder", text_network, "pooled")
    if tuple(pooled.shape) != (None, pooled_dim) or text_network.output_shape != (None, embedding_dim):
        raise ValueError(
            f"DualEncoder: text_network must take 'pooled' of shape (None, {pooled_dim}) and give (None, "
            f"{embedding_dim}); it takes {tuple(pooled.shape)} and gives {text_network.output_shape}."
        )
