"""A head that reconstructs the image."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kgen import losses
from kgen.heads.head import Head
from kgen.inputs import pixels
from kgen.networks.interface import check_network, named_input, warn_of_ending
from kgen.serializable import serializable
from kgen.training import network_copy
from kgen.types import Tensor


@serializable
class ReconstructionHead(Head):
    """Reconstructs the image: a decoder on the vector of features, which makes an autoencoder and needs no labels.

    Args:
        decoder: built `keras.Model` from latents `(batch, n)` to what `reconstruction` reads, as in `VAE`; it is
            copied. A dense layer turns the features into latents.
        reconstruction: what the decoder's outputs mean: a `kgen.losses.Reconstruction` or its short name; "auto" is
            `Gaussian(0.5)`. The loss is hundreds of nats per image, so give it a small weight beside other losses.

    Raises:
        TypeError, ValueError: if the decoder is not such a model.

    Example:

    ```python
    kgen.heads.ReconstructionHead(kgen.networks.dcgan_generator((28, 28, 1), latent_dim=64))
    ```
    """

    def __init__(self, decoder: keras.Model, reconstruction: Any = "auto"):
        check_network("ReconstructionHead", "decoder", decoder)
        latents = named_input("ReconstructionHead", decoder, "latents")
        if isinstance(decoder.output_shape, (dict, list)) or len(latents.shape) != 2:
            raise ValueError(
                "ReconstructionHead: the decoder must turn latents (batch, n) into images; "
                f"{decoder.name!r} turns {tuple(latents.shape)} into {decoder.output_shape}."
            )
        self.decoder = network_copy(decoder)
        self.latent_dim = latents.shape[-1]
        self.reconstruction = losses.reconstruction_of(reconstruction)
        logits = isinstance(self.reconstruction, losses.Logistic)
        warn_of_ending("ReconstructionHead", "decoder", decoder, logits)

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """The decoder's outputs for the features."""
        wanted = losses.decoded_shape(tuple(images.shape[1:]), self.reconstruction)
        if tuple(self.decoder.output_shape[1:]) != wanted:
            raise ValueError(
                f"ReconstructionHead: the decoder gives {tuple(self.decoder.output_shape[1:])}; "
                f"{type(self.reconstruction).__name__} needs {wanted} for images of {tuple(images.shape[1:])}."
            )
        outputs = self.decoder(layers.Dense(self.latent_dim, name=f"{name}_latents")(encoded["vector"]))
        return layers.Activation("linear", dtype="float32", name=f"{name}_outputs")(outputs)

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Negative log-likelihood of the images."""
        return {"loss": self.reconstruction.loss(targets, outputs)}

    def answer(self, outputs: Tensor) -> Tensor:
        """uint8 images."""
        return pixels.to_uint8(self.reconstruction.mean(outputs))
