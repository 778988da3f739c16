from types import SimpleNamespace

import keras
import pytest

from kgen.objectives import ELBO
from kgen.objectives.objective import Objective
from tests.models import tiny


def test_a_discriminator_learns_at_a_lower_rate_with_less_momentum():
    objective = Objective()
    optimizers = [objective.default_optimizer(name) for name in ("autoencoder", "discriminator")]
    assert [(float(each.learning_rate), each.beta_1) for each in optimizers] == [
        pytest.approx((1e-3, 0.9)),
        pytest.approx((4e-4, 0.5)),
    ]
    assert all(isinstance(each, keras.optimizers.Adam) for each in optimizers)


def test_its_phase_comes_first_if_there_is_one():
    objective = Objective()
    objective.attach(SimpleNamespace())
    assert objective.after_discriminator("a", "b") == ["a", "b"]
    objective.adversary = SimpleNamespace(phase=lambda loss: ("discriminator", loss.__name__))
    assert objective.after_discriminator("a") == [("discriminator", "discriminator_loss"), "a"]


def test_attached_to_another_model_it_forgets_the_discriminator():
    objective = ELBO()
    for model, phases in ((tiny.vae_gan(), 2), (tiny.vae(), 1)):
        model.use_objective(objective)
        assert len(model.phases()) == phases
