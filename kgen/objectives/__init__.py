"""What models minimise: values for `compile`, shared by the models that train in the same way."""

from kgen.objectives.adversarial import Adversarial
from kgen.objectives.adversary import Adversary
from kgen.objectives.code_elbo import CodeELBO
from kgen.objectives.elbo import ELBO
from kgen.objectives.imle import IMLE
from kgen.objectives.likeness import Likeness
from kgen.objectives.perceptual_compression import PerceptualCompression

__all__ = ["ELBO", "IMLE", "Adversarial", "Adversary", "CodeELBO", "Likeness", "PerceptualCompression"]
