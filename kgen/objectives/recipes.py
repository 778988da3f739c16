"""The recipes of a text-to-image model: how its networks learn, and what the generator's outputs mean."""

from __future__ import annotations

from typing import Any

from kgen import losses
from kgen.networks.interface import condition_names
from kgen.objectives.adversarial import Adversarial
from kgen.objectives.code_elbo import CodeELBO
from kgen.objectives.elbo import ELBO
from kgen.objectives.imle import IMLE
from kgen.serializable import arguments_of, split_arguments

OBJECTIVES: dict[str, Any] = {"vae": ELBO, "gan": Adversarial, "vae_gan": ELBO, "imle": IMLE}
# This wide deviation makes a nat of latent information expensive: latents do not repeat what the caption says, so a
# latent drawn from the prior cannot contradict it. With 0.5 the posterior tells the decoder about the image too, and
# fewer images generated from the prior are right (docs/measured).
_SIGMA = 8.0


def reconstruction_of(owner: str, recipe: str, reconstruction: Any, codes: Any) -> Any:
    """What a generator's outputs mean, given these arguments of `TextToImage`: a `Reconstruction`, or None for images.

    Raises:
        ValueError: for an unknown recipe, or an argument that the recipe does not take; it begins with `owner`.
    """
    if recipe not in OBJECTIVES:
        raise ValueError(f"{owner}: recipe must be one of {', '.join(map(repr, OBJECTIVES))}; got {recipe!r}.")
    if "vae" in recipe:
        return losses.reconstruction_of(losses.Gaussian(_SIGMA) if reconstruction is None else reconstruction)
    if reconstruction is not None:
        raise ValueError(f"{owner}: the recipe {recipe!r} has no reconstruction; leave it out.")
    if codes is not None:
        raise ValueError(f"{owner}: the recipe {recipe!r} has no encoder to find codes; leave them out.")
    return None


def objective_of(model: Any, objective: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """`(objective, what is saved of it, the other options)` from the arguments of `TextToImage.compile`.

    Raises:
        TypeError: for options of the recipe's objective together with another objective.
    """
    own = OBJECTIVES[model.recipe] if model.codes is None else CodeELBO
    terms, options = split_arguments(own, options)
    if objective is None:
        objective = own(**terms)
        return objective, arguments_of(objective), options
    if terms:
        raise TypeError(f"{type(model).__name__}.compile: pass {', '.join(terms)} to the objective itself.")
    return objective, {"objective": objective}, options


def check_text_counts(model: Any) -> None:
    """Raises ValueError for a GAN in which nothing would teach the generator to follow prompts."""
    judge = model.discriminator if isinstance(model.objective, Adversarial) and model.matching is None else None
    if judge is not None and not condition_names(judge, {"pooled": None}):
        raise ValueError(
            f"{type(model).__name__}.compile: the discriminator {judge.name!r} takes no text, so nothing would "
            "teach the generator to follow prompts. Give it an input 'pooled' beside 'images', or pass a trained "
            "DualEncoder as matching=."
        )
