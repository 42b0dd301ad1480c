"""The loop of a training run: its steps, its progress for callbacks, and its state."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn

from neuralstyle import distributed
from neuralstyle._log import logger
from neuralstyle._stopping import stopping
from neuralstyle._words import TrainingPrecision
from neuralstyle.checkpoint import State
from neuralstyle.feedforward.criterion import Criterion
from neuralstyle.feedforward.data import MOST_SECONDS_PER_BATCH
from neuralstyle.feedforward.journal import Journal
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.files.schema import check_shapes
from neuralstyle.images import Picture, load_image, to_pil
from neuralstyle.painting.forecast import Pace, show_left

LAST_STAGE_LR_FACTOR = 0.1
"""The learning rate of the last convolution, relative to that of the others.

It adds up 81 ``width`` numbers to a value from 0 to 1, not from 0 to 255, so equal steps of all its weights make a
large change. With the same rate, contrast first grows too much, and the network then converges to an even grey.
"""

LOGGED_STEPS = 100
"""Steps between two lines of the logger."""


@dataclass(frozen=True, eq=False)
class TrainingProgress:
    """Progress of a training run after a step; the callback receives it.

    Attributes:
        step: number of steps so far.
        steps: number of steps planned.
        epoch: number of the pass over the pictures, from 1.
        loss: the loss, averaged over the batch and all processes.
        terms: the weighted terms of the loss, by name.
        elapsed: seconds of training so far, including those before a run was continued.
        network: the network so far.
        left: seconds that the training still takes, what it saves included, or None before that is known.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.feedforward import TrainingProgress

        def on_step(progress: TrainingProgress) -> bool:
            if progress.step % 100 == 0:
                progress.image(samples.photo()).save(f"step-{progress.step}.png")
            return progress.elapsed < 3600
        ```

    """

    step: int
    steps: int
    epoch: int
    loss: float
    terms: dict[str, float]
    elapsed: float
    network: TransformerNet
    left: float | None = None

    def image(self, picture: Picture) -> Image.Image:
        """Paint a picture with the network so far."""
        return to_pil(run_model(self.network, load_image(picture)))


TrainingCallback: TypeAlias = Callable[[TrainingProgress], "bool | None"]


class Loop:
    """A network, its optimiser, and the number of steps taken.

    Args:
        network: the network, trained in place.
        criterion: the loss.
        device: device of the training.
        steps: number of steps in all.
        lr: learning rate of Adam; the last stage's is ``LAST_STAGE_LR_FACTOR`` times as large.
        decay: whether the learning rate falls to zero along half a cosine.
        precision: "bfloat16" computes convolutions in bfloat16; None computes them in full precision.
        seed: seed of the random numbers of losses.

    """

    def __init__(
        self,
        network: TransformerNet,
        criterion: Criterion,
        device: torch.device,
        *,
        steps: int,
        lr: float,
        decay: bool,
        precision: TrainingPrecision | None,
        seed: int,
    ) -> None:
        self.network, self.criterion, self.device = network.to(device), criterion, device
        self.steps, self.lr, self.decay = steps, lr, decay
        self.precision, self.seed = precision, seed
        last = list(self.network.parts()[2][-1].parameters())
        earlier = [parameter for parameter in network.parameters() if all(parameter is not own for own in last)]
        self.optimizer = torch.optim.Adam([{"params": earlier}, {"params": last}])
        self.step = 0
        self.elapsed = 0.0
        self.is_whole = True  # false while a step changes the weights

    def state(self) -> State:
        """Return everything that ``restore`` needs."""
        return {
            "step": self.step,
            "elapsed": self.elapsed,
            "network": dict(self.network.state_dict()),
            # A list in the order of the parameters, where torch has a dict by number.
            "optimizer": [entry for _, entry in sorted(self.optimizer.state_dict()["state"].items())],
        }

    def restore(self, state: State) -> None:
        """Continue from a state.

        Raises:
            ValueError: its tensors are not those of this network.

        """
        own = self.network.state_dict()
        try:
            check_shapes(state["network"], {name: tuple(tensor.shape) for name, tensor in own.items()})
            entries = dict(enumerate(state["optimizer"]))
            for name in ("exp_avg", "exp_avg_sq") if entries else ():
                shapes = (tuple(p.shape) for group in self.optimizer.param_groups for p in group["params"])
                check_shapes({str(i): e[name] for i, e in entries.items()}, {str(i): s for i, s in enumerate(shapes)})
        except ValueError as error:
            raise ValueError(f"the state is not of this network ({error}); give another folder") from error
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.network.load_state_dict(state["network"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(enumerate(state["optimizer"])), "param_groups": groups})

    def run(
        self,
        batches: Iterator[tuple[Tensor, list[str]]],
        epoch_steps: int,
        journal: Journal,
        callback: TrainingCallback | None,
        show: bool,
    ) -> None:
        """Take the remaining steps.

        Args:
            batches: pictures ``(B, 3, size, size)`` for each step, with the reasons why files were skipped.
            epoch_steps: steps in one pass over the pictures.
            journal: writes the files that are due after each step.
            callback: called after each step; returning False stops.
            show: whether to show a progress bar.

        """
        from tqdm.auto import tqdm

        model = _averaging(self.network.train())
        reported: set[str] = set()
        begun, pace, ticked, saving = time.monotonic() - self.elapsed, Pace(), time.monotonic(), 0.0
        bar = tqdm(total=self.steps, initial=self.step, unit="step", disable=not (show and distributed.is_writer()))
        # Losses may draw random numbers: the same at each step, even if the run was continued.
        with torch.random.fork_rng(self._cuda()), bar:
            for images, failures in _whole(batches):
                _report(failures, reported)
                with stopping.shield():  # a step is taken whole
                    terms = self._descend(model, images.to(self.device, non_blocking=True))
                    self.elapsed = time.monotonic() - begun
                    epoch, loss = -(-self.step // epoch_steps), sum(terms.values())
                    pace.add(begun + self.elapsed - ticked)  # with what was saved after the step before
                    ticked, left = begun + self.elapsed, _left(pace, self.steps - self.step, saving)
                    bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
                    show_left(bar, left)
                    bar.update()
                    progress = TrainingProgress(
                        self.step, self.steps, epoch, loss, terms, self.elapsed, self.network, left
                    )
                    stopped = callback is not None and self._stopped(callback, progress)
                    if self.step % LOGGED_STEPS == 0 or self.step == self.steps:
                        logger.info("step %d of %d: loss %.4g", self.step, self.steps, loss)
                    if distributed.is_writer():
                        journal.record(self, epoch, terms, last=stopped or self.step == self.steps)
                    saving = max(saving, time.monotonic() - ticked)
                if stopped:
                    break
        self.network.eval()

    def _descend(self, model: nn.Module, images: Tensor) -> dict[str, float]:
        """Take one step of the optimiser; return the terms of the loss before it."""
        torch.manual_seed(self.seed + self.step)
        fading = 0.5 * (1 + math.cos(math.pi * self.step / self.steps)) if self.decay else 1.0
        for group, factor in zip(self.optimizer.param_groups, (1.0, LAST_STAGE_LR_FACTOR), strict=True):
            group["lr"] = self.lr * factor * fading
        self.optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            terms = self.criterion(model(images).float(), images)
        values = _mean(torch.stack([term.detach() for term in terms.values()])).tolist()
        for name, value in zip(terms, values, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss term {name} is {value} at step {self.step + 1}; lower its weight or the learning rate"
                )
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.is_whole = False
        self.optimizer.step()
        self.step += 1
        self.is_whole = True
        return dict(zip(terms, values, strict=True))

    def _stopped(self, callback: TrainingCallback, progress: TrainingProgress) -> bool:
        """Call the callback in the first process, and return whether all processes have to stop."""
        wanted = False
        if distributed.is_writer():
            try:
                wanted = callback(progress) is False
            except StopIteration:
                wanted = True
            progress.network.train()
        return bool(_mean(torch.tensor(float(wanted), dtype=torch.float32, device=self.device)) > 0)

    def _cuda(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []


def _whole(batches: Iterator[tuple[Tensor, list[str]]]) -> Iterator[tuple[Tensor, list[str]]]:
    """Yield batches, and stop between two of them if asked to; a worker whose batch is half received would fail."""
    while True:
        with stopping.shield():
            try:
                batch = next(batches, None)
            except RuntimeError as error:
                if "timed out" not in str(error):
                    raise
                raise OSError(
                    f"the processes that decode pictures gave no batch in {MOST_SECONDS_PER_BATCH} seconds; see "
                    "what they say above, make room for shared memory, or use workers=0 (--workers 0)"
                ) from error
        if batch is None:
            return
        stopping.check()
        yield batch


def _report(failures: list[str], reported: set[str]) -> None:
    """Warn why files were skipped, each reason once."""
    for reason in failures:
        if reason not in reported:
            reported.add(reason)
            warnings.warn(f"skipped: {reason}", stacklevel=2)


def _left(pace: Pace, steps: int, saving: float) -> float | None:
    """The seconds that are left with the files of the last step, or None before the second step."""
    return None if pace.later is None else steps * pace.later + saving


def _averaging(network: nn.Module) -> nn.Module:
    """Make a network average its gradients over all processes."""
    return nn.parallel.DistributedDataParallel(network) if distributed.world() > 1 else network


def _mean(values: Tensor) -> Tensor:
    """Average over all processes."""
    distributed.add_up([values])
    return values / distributed.world()
