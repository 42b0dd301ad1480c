"""Checks for your own losses, encoders and strategies: the rules that the package's own ones keep."""

from neuralstyle.testing.encoder import check_encoder
from neuralstyle.testing.loss import check_loss
from neuralstyle.testing.strategy import check_strategy

__all__ = ["check_encoder", "check_loss", "check_strategy"]
