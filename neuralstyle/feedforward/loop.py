"""The loop of a training run: step by step, watched, and written down."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn

from neuralstyle import distributed
from neuralstyle.checkpoint import State
from neuralstyle.feedforward.journal import Journal
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.images import Picture, load_image, to_pil


@dataclass(frozen=True, eq=False)
class TrainingProgress:
    """Where a training run stands after a step; handed to the callback.

    Attributes:
        step: steps so far, from 1.
        steps: steps in all.
        epoch: passes over the data begun so far.
        loss: the objective, averaged over the batch and all processes.
        terms: each loss's part of it, weighted.
        elapsed: seconds since the start; a continued run counts on.
        network: the network, as it is now.

    Example:
        ```python
        from neuralstyle import TrainingProgress, samples

        def watch(progress: TrainingProgress) -> bool:
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

    def image(self, picture: Picture) -> Image.Image:
        """A picture painted by the network as it is now."""
        return to_pil(run_model(self.network, load_image(picture)))


TrainingCallback: TypeAlias = Callable[[TrainingProgress], "bool | None"]
Criterion: TypeAlias = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""What is minimised: (painted pictures, contents) -> terms, averaged over the batch."""


LAST_STAGE = 0.1
"""The last convolution's learning rate, as a part of the others'.

It adds up 81 ``width`` numbers to one from 0 to 1, not to 255, so that equal steps of all of them are a leap: with the
same rate, contrast shoots up, is punished, and the network settles on an even grey.
"""


class Loop:
    """A network, its optimiser, and how far they have come.

    Args:
        network: trained in place.
        criterion: what is minimised.
        device: where to compute.
        steps: steps in all.
        learning_rate: of Adam; the last stage's is ``LAST_STAGE`` times as much.
        decay: whether the learning rate falls to zero along half a cosine.
        mixed_precision: whether convolutions are computed in bfloat16.
        seed: of whatever a loss draws at random.

    """

    def __init__(
        self,
        network: TransformerNet,
        criterion: Criterion,
        device: torch.device,
        *,
        steps: int,
        learning_rate: float,
        decay: bool,
        mixed_precision: bool,
        seed: int,
    ) -> None:
        self.network, self.criterion, self.device = network.to(device), criterion, device
        self.steps, self.learning_rate, self.decay = steps, learning_rate, decay
        self.mixed_precision, self.seed = mixed_precision, seed
        last = list(self.network.parts()[2][-1].parameters())
        earlier = [parameter for parameter in network.parameters() if all(parameter is not own for own in last)]
        self.optimizer = torch.optim.Adam([{"params": earlier}, {"params": last}])
        self.step = 0
        self.elapsed = 0.0

    def state(self) -> State:
        """Everything that ``restore`` needs."""
        return {
            "step": self.step,
            "elapsed": self.elapsed,
            "network": dict(self.network.state_dict()),
            # An entry of the optimiser for each parameter, in order, where torch has a dict by number.
            "optimizer": [entry for _, entry in sorted(self.optimizer.state_dict()["state"].items())],
        }

    def restore(self, state: State) -> None:
        """Go on from a state."""
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
        """Take the steps that are left."""
        from tqdm.auto import tqdm

        model = _averaging(self.network.train())
        reported: set[str] = set()
        begun = time.monotonic() - self.elapsed
        with ExitStack() as stack:
            # Losses may draw random numbers: the same ones at a step, whatever came before it.
            stack.enter_context(torch.random.fork_rng(self._cuda()))
            bar = stack.enter_context(
                tqdm(
                    total=self.steps,
                    initial=self.step,
                    unit="step",
                    disable=not (show and distributed.is_writer()),
                )
            )
            for images, failures in batches:
                for reason in failures:
                    if reason not in reported:
                        reported.add(reason)
                        warnings.warn(f"passed over: {reason}", stacklevel=2)
                torch.manual_seed(self.seed + self.step)
                terms = self._descend(model, images.to(self.device, non_blocking=True))
                self.step += 1
                self.elapsed = time.monotonic() - begun
                epoch = -(-self.step // epoch_steps)
                loss = sum(terms.values())
                bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
                bar.update()
                stopped = callback is not None and self._stopped(
                    callback,
                    TrainingProgress(self.step, self.steps, epoch, loss, terms, self.elapsed, self.network),
                )
                if distributed.is_writer():
                    journal.note(self, epoch, terms, last=stopped or self.step == self.steps)
                if stopped:
                    break
        self.network.eval()

    def _descend(self, model: nn.Module, images: Tensor) -> dict[str, float]:
        """One step of the optimiser; the terms before it."""
        fading = 0.5 * (1 + math.cos(math.pi * self.step / self.steps)) if self.decay else 1.0
        for group, factor in zip(self.optimizer.param_groups, (1.0, LAST_STAGE), strict=True):
            group["lr"] = self.learning_rate * factor * fading
        self.optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.mixed_precision):
            terms = self.criterion(model(images).float(), images)
        values = _mean(torch.stack([term.detach() for term in terms.values()])).tolist()
        for name, value in zip(terms, values, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss term {name} is {value} at step {self.step + 1}; lower its weight or the learning rate"
                )
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return dict(zip(terms, values, strict=True))

    def _stopped(self, callback: TrainingCallback, progress: TrainingProgress) -> bool:
        """Whether the callback wants to stop; the first process's word holds for all."""
        wanted = False
        if distributed.is_writer():
            try:
                wanted = callback(progress) is False
            except StopIteration:
                wanted = True
            progress.network.train()
        return bool(_mean(torch.tensor(float(wanted), device=self.device)) > 0)

    def _cuda(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []


def _averaging(network: nn.Module) -> nn.Module:
    """The network with gradients averaged over all processes."""
    return nn.parallel.DistributedDataParallel(network) if distributed.world() > 1 else network


def _mean(values: Tensor) -> Tensor:
    """The mean over all processes."""
    distributed.add_up([values])
    return values / distributed.world()
