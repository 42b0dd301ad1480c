"""Callbacks for ``stylize(callback=...)``: snapshots, a log of the losses and its plot, a live preview."""

from neuralstyle.callbacks.losses import ADDED, LossLog, read_losses
from neuralstyle.callbacks.pictures import LivePreview, SavePictures
from neuralstyle.callbacks.plot import check_plot, plot_losses

__all__ = ["ADDED", "LivePreview", "LossLog", "SavePictures", "check_plot", "plot_losses", "read_losses"]
