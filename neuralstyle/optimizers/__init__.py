"""Optimisers: strategies that minimise over a picture inside its range, and the loop that counts, reports and stops."""

from neuralstyle._words import RESULTS, Result
from neuralstyle.optimizers.adam import Adam
from neuralstyle.optimizers.base import Evaluate, FromFactory, Optimizer, OptimizerFactory, State, Strategy
from neuralstyle.optimizers.in_parameters import InParameters
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.optimizers.minimize import Minimum, minimize
from neuralstyle.optimizers.strategies import OPTIMIZERS, as_strategy

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "RESULTS",
    "Adam",
    "Evaluate",
    "FromFactory",
    "InParameters",
    "Minimum",
    "Optimizer",
    "OptimizerFactory",
    "Result",
    "State",
    "Strategy",
    "as_strategy",
    "minimize",
]
