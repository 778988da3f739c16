"""What a dual encoder minimises: a loss on how well each image of a batch fits each caption of the batch."""

from __future__ import annotations

from typing import Any

from keras import ops

from kgen import losses
from kgen.networks.interface import split_batch
from kgen.training import Phase, backend
from kgen.types import Tensor


class Contrast:
    """The phase of a `DualEncoder`, and all that is computed from every pair of an image and a caption.

    Args:
        model: gives `image_vectors`, `text_vectors`, `scale`, and as its `objective` a `kgen.losses.ContrastiveLoss`;
            trained are its `image_network`, `image_projection`, `text_network`, `scale` and `text_encoder`.
    """

    def __init__(self, model: Any):
        self.model = model

    def phases(self) -> list[Phase]:
        """Both towers together, with the temperature."""
        model = self.model
        parts = (model.image_network, model.image_projection, model.text_network, model.scale, model.text_encoder)
        variables = [variable for part in parts for variable in part.trainable_variables]
        return [Phase("towers", self.loss, variables, measures=("matching_accuracy",))]

    def loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The loss on a batch, and how often the best match within it is the right one."""

        def compared(logits, same):
            accuracy = losses.matching_accuracy(logits, same)
            return {"loss": self.model.objective.loss(logits, same), "matching_accuracy": accuracy}

        return self._of_all_pairs(compared, *split_batch(batch), training)

    def matching_loss(self, images: Tensor, features: dict[str, Tensor]) -> Tensor:
        """The loss for images in [-1, 1] and the features of their captions, `(batch,)`."""
        return self._of_all_pairs(self.model.objective.loss, images, features)

    def judged(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The caption of each image within the batch, one-hot, and probabilities; equal captions count as the first."""

        def judged(logits, same):
            first = ops.argmax(ops.cast(same, "int32"), axis=1)
            truth = ops.one_hot(first, ops.shape(logits)[1], dtype="float32")
            return truth, ops.matmul(ops.softmax(logits, axis=-1), truth)

        return self._of_all_pairs(judged, *split_batch(batch))

    def logits(self, image_vectors: Tensor, text_vectors: Tensor) -> Tensor:
        """Scaled cosines `(images, captions)` of unit vectors."""
        return self.model.scale(ops.matmul(image_vectors, ops.transpose(text_vectors)))

    def _of_all_pairs(self, function, images, features, training=False):
        """Calls a function on the logits of a whole batch and on which captions are equal; see `on_whole_batch`."""

        def compared(image_vectors, text_vectors, read):
            same = ops.all(ops.equal(read[:, None], read[None, :]), axis=-1)
            return function(self.logits(image_vectors, text_vectors), same)

        vectors = self.model.image_vectors(images, training), self.model.text_vectors(features, training)
        return backend.on_whole_batch(compared, *vectors, features.get("token_ids", features.get("pooled")))
