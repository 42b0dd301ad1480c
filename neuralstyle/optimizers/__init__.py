"""Optimisers: strategies that walk a picture downhill inside its range, and the loop that counts, reports and stops."""

from neuralstyle.optimizers.adam import Adam
from neuralstyle.optimizers.base import Evaluate, FromFactory, Optimizer, OptimizerFactory, State, Strategy
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.optimizers.minimize import Keep, Minimum, minimize

__all__ = [
    "LBFGS",
    "Adam",
    "Evaluate",
    "FromFactory",
    "Keep",
    "Minimum",
    "Optimizer",
    "OptimizerFactory",
    "State",
    "Strategy",
    "minimize",
]
