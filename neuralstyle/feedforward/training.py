"""Training a network to paint in a style.

Importing this file does not import torch, so the command line can show the defaults quickly.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neuralstyle._errors import brief
from neuralstyle._stopping import interruptible, rescue
from neuralstyle.feedforward.options import Paths, Records, StateFolder, TrainingData
from neuralstyle.machine.surroundings import plain_torch

if TYPE_CHECKING:
    import torch

    from neuralstyle._words import TrainingPrecision
    from neuralstyle.encoders.base import Encoder
    from neuralstyle.feedforward.journal import Journal
    from neuralstyle.feedforward.loop import Loop, TrainingCallback
    from neuralstyle.feedforward.network import TransformerNet
    from neuralstyle.images import Picture
    from neuralstyle.losses import Loss, LossSum
    from neuralstyle.styles import Style


@interruptible
@plain_torch()
def train(
    style: Picture | Style | Sequence[Picture | Style],
    data: TrainingData | Paths,
    *,
    losses: Loss | LossSum | None = None,
    network: TransformerNet | None = None,
    encoder: Encoder | str | None = None,
    lr: float = 1e-3,
    decay: bool = False,
    device: str | torch.device | None = None,
    precision: TrainingPrecision | None = None,
    output: str | os.PathLike[str] | None = None,
    half: bool = False,
    state: StateFolder | str | os.PathLike[str] | None = None,
    records: Records | None = None,
    callback: TrainingCallback | None = None,
    progress: bool = True,
) -> TransformerNet:
    r"""Train a network that paints any picture in a style, in one pass.

    Minimises over the weights $\theta$ of the network $f_\theta$, by Adam,

    $$ \frac{1}{B} \sum_{b=1}^B L\left(f_\theta(x_b);\ \text{content } x_b,\ \text{styles}\right) $$

    over batches of pictures; L is a sum of losses, as in ``stylize``.

    If torchrun starts several processes, each takes its share of the pictures, and gradients are averaged over all
    processes. Only the first process writes files.

    Args:
        style: as in ``stylize``; several are blended. A style is not resized; give ``load_image("painting.jpg", 320)``
            for another size.
        data: the training pictures, a ``TrainingData``; or only the folder, or a list of folders and files.
        losses: the losses to minimise; None: ``TRAINING_LOSSES``.
        network: the network to start from, which is not changed; None: ``TransformerNet(seed=data.seed)``.
        encoder: an encoder such as a ``FeatureExtractor``, or a network's name; None: ``default_encoder()``.
        lr: learning rate of Adam.
        decay: lower the learning rate to zero along half a cosine; False keeps it, as the paper does.
        device: for example "cpu" or "cuda"; None: the accelerator that torch finds, else the CPU.
        precision: "bfloat16" computes convolutions in bfloat16 (torch's autocast) and losses in full precision, for
            GPUs; None computes everything in full precision.
        output: a .safetensors file for the network; None: the network is only returned.
        half: store 16-bit floats in ``output``.
        state: a ``StateFolder`` from which a stopped run continues, or only its path; None saves no state.
        records: the log of the losses and the snapshots to write, a ``Records``; None writes none.
        callback: called with a ``TrainingProgress`` after each step. Returning False stops; the result is the network
            so far.
        progress: show a progress bar.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: bad input, or a run in ``state`` with other settings; before any training.
        FileNotFoundError: a file or folder does not exist.
        FloatingPointError: a loss is not finite; the message names it.
        OSError: a file cannot be written. If only ``output`` cannot at the end, the message says where the network is.
        Exception: any exception after the first step, KeyboardInterrupt too, has the network so far as its attribute
            ``network``. After KeyboardInterrupt the state is that of the last step.

    Example:
        ```python
        import tempfile
        from neuralstyle import GramStyleLoss, samples
        from neuralstyle.feedforward import TrainingData, TransformerNet, train

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().save(f"{folder}/cat.png")
            network = train(
                samples.painting("mosaic", size=64),
                TrainingData(folder, size=32, batch_size=1, steps=2, workers=0),
                losses=GramStyleLoss("relu2_1"),
                network=TransformerNet(width=4, seed=42),
                progress=False,
            )
        ```

    Papers: Johnson, Alahi and Fei-Fei, arXiv 1603.08155. Options and their defaults are those of PyTorch's
    fast_neural_style. Departures: the losses (see ``TRAINING_LOSSES``), and a tenth of the learning rate in the last
    convolution, because values are in [0, 1] and not in 0 to 255.
    """
    from neuralstyle import distributed
    from neuralstyle.checkpoint import held
    from neuralstyle.feedforward.journal import AveragedLosses, Checkpoints, Journal, Snapshots
    from neuralstyle.feedforward.models import check_model_output
    from neuralstyle.feedforward.plan import plan_training

    data = data if isinstance(data, TrainingData) else TrainingData(data)
    state = state if state is None or isinstance(state, StateFolder) else StateFolder(state)
    records = Records() if records is None else records
    if not isinstance(records, Records):
        raise TypeError(f"records of a training are a Records, received {brief(records)}")
    if output is not None:
        check_model_output(output)
    with distributed.session(), held(None if state is None else state.folder):
        plan = plan_training(
            style,
            data,
            losses=losses,
            network=network,
            encoder=encoder,
            device=device,
            lr=lr,
            decay=decay,
            precision=precision,
        )
        checkpoints = Checkpoints(state, {} if state is None else plan.settings())
        loop = plan.loop()
        if checkpoints.found is not None:
            loop.restore(checkpoints.found)
        averaged = AveragedLosses(records, plan.losses.names, loop.step)
        journal = Journal(checkpoints, averaged, Snapshots(records))
        try:
            loop.run(plan.batches(loop.step), plan.epoch_steps, journal, callback, progress)
            _note(loop.network)
            if output is not None and distributed.is_writer():
                save_network(loop.network, output, half=half)
        except BaseException as error:
            rescue(partial(_keep, error, loop, journal))
            raise
    return loop.network


_last_network: TransformerNet | None = None


def last_network() -> TransformerNet:
    """Return the network that this process has trained last, finished or not.

    In a notebook this is where the network is after ``network = train(...)`` was interrupted or has failed.

    Raises:
        LookupError: nothing has been trained yet.

    """
    if _last_network is None:
        raise LookupError("nothing has been trained in this process yet")
    return _last_network


def save_network(network: TransformerNet, path: str | os.PathLike[str], *, half: bool = False) -> Path:
    """Save a network after its training; if that fails, save it in the system's temporary folder.

    Raises:
        OSError: it cannot be saved at ``path``; the message says where it is.

    """
    from neuralstyle.feedforward.models import save_model
    from neuralstyle.files import somewhere

    place, failure = somewhere(partial(save_model, network, half=half), path, "network")
    if failure is not None:
        raise OSError(f"{failure}; the network is in {place}") from failure
    return place


def _note(network: TransformerNet) -> TransformerNet:
    global _last_network
    _last_network = network
    return network


def _keep(error: BaseException, loop: Loop, journal: Journal) -> None:
    """Keep the network of an interrupted training, and its state if the last step was taken whole."""
    from neuralstyle import distributed

    said = isinstance(error, KeyboardInterrupt) and not error.args
    if not all(bool(weights.isfinite().all()) for weights in loop.network.parameters()):
        return  # it has diverged
    if not loop.step:
        error.args = ("stopped before the first step; nothing was trained",) if said else error.args
        return
    error.network = _note(loop.network.eval())  # type: ignore[attr-defined]
    if said:
        where = "neuralstyle.feedforward.last_network() is the network so far"
        error.args = (f"stopped after {loop.step} steps; {where}",)
    # After an error the state stays that of the last regular step, from which a run with other settings may do better.
    if isinstance(error, KeyboardInterrupt) and loop.is_whole and distributed.is_writer():
        try:
            journal.stop(loop)
        except OSError as failure:
            warnings.warn(f"the state of the training could not be written ({failure})", stacklevel=2)
