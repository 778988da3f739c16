import pytest

from kgen.losses import Gaussian, Hinge
from kgen.models import TextToImage
from kgen.objectives import ELBO, IMLE, Adversarial, CodeELBO
from kgen.objectives.recipes import OBJECTIVES, reconstruction_of
from tests.models import tiny, tiny_text

pytestmark = pytest.mark.backends
pytest.importorskip("tensorflow_text")


def test_each_recipe_has_its_objective():
    assert {"vae": ELBO, "gan": Adversarial, "vae_gan": ELBO, "imle": IMLE} == OBJECTIVES
    imle = {"recipe": "imle", "encoder": None, "reconstruction": None}
    for options in ({"recipe": "vae"}, {"recipe": "gan"}, {"recipe": "vae_gan"}, imle):
        model = tiny_text.model(**options)
        assert type(model.objective) is OBJECTIVES[options["recipe"]]
    codes = {"encoder": tiny_text.encoder(tiny_text.LATENT_DIM), "codes": (2, 2)}
    assert type(tiny_text.model(**codes).objective) is CodeELBO


def test_what_a_generators_outputs_mean():
    assert reconstruction_of("Model", "gan", None, None) is reconstruction_of("Model", "imle", None, None) is None
    assert reconstruction_of("Model", "vae", None, (4, 4)).sigma == 8.0
    given = Gaussian(0.5)
    assert reconstruction_of("Model", "vae_gan", given, None) is given
    with pytest.raises(ValueError, match="^Model: recipe must be one of 'vae', 'gan', 'vae_gan', 'imle'; got 'flow'"):
        reconstruction_of("Model", "flow", None, None)
    with pytest.raises(ValueError, match="^Model: the recipe 'gan' has no reconstruction; leave it out"):
        reconstruction_of("Model", "gan", given, None)
    with pytest.raises(ValueError, match="^Model: the recipe 'imle' has no encoder to find codes"):
        reconstruction_of("Model", "imle", None, (4, 4))


def test_an_objective_is_a_value():
    model = tiny_text.model("gan")
    model.compile(objective=Adversarial("hinge", penalties=[]))
    assert type(model.objective.adversary.loss) is Hinge
    model.compile(loss="hinge", discriminator_steps=2)
    assert type(model.objective.adversary.loss) is Hinge and model.objective.discriminator_steps == 2
    with pytest.raises(TypeError, match="pass loss to the objective itself"):
        model.compile(objective=Adversarial(), loss="hinge")


def test_a_gan_in_which_nothing_looks_at_captions():
    parts = {**tiny_text.networks("gan"), "discriminator": tiny.encoder(1, shape=tiny_text.SHAPE)}
    blind = TextToImage(tiny_text.text_encoder(), tiny_text.SHAPE, **parts)
    with pytest.raises(
        ValueError, match="TextToImage.compile: the discriminator .* takes no text, .*'pooled'.*matching="
    ):
        blind.compile()
    blind.compile(matching=tiny_text.dual_encoder())
