from __future__ import annotations

import copy
import gc
import math
import os
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from doubles import Noise
from torch import Tensor

from neuralstyle import LBFGS, Adam
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.optimizers import RESULTS, FromFactory, InParameters, as_strategy, lbfgs
from neuralstyle.optimizers.base import Evaluate
from neuralstyle.optimizers.lbfgs import MAX_PAIRS, MIN_PAIRS
from neuralstyle.optimizers.minimize import AVERAGE_DECAY, minimize
from neuralstyle.parameters import Smoothed

SHAPE = (1, 3, 6, 5)


def quadratic(seed: int = 0, condition: float = 100.0) -> Callable[[Tensor], tuple[float, Tensor]]:
    """A convex quadratic whose unbounded minimum lies partly outside [0, 1]; loss and gradient in float64."""
    generator = np.random.default_rng(seed)
    n = math.prod(SHAPE)
    basis, _ = np.linalg.qr(generator.normal(size=(n, n)))
    hessian = torch.from_numpy(basis @ np.diag(np.geomspace(1, condition, n)) @ basis.T)
    centre = torch.from_numpy(generator.uniform(-0.7, 1.7, n))

    def evaluate(x):
        d = x.flatten() - centre
        return float(0.5 * d @ hessian @ d), (hessian @ d).view(SHAPE)

    return evaluate


def torch_lbfgs(x: Tensor) -> torch.optim.Optimizer:
    return torch.optim.LBFGS([x], max_iter=4)


STRATEGIES = {
    "LBFGS": LBFGS(),
    "LBFGS, one pair": LBFGS(history=1),
    "Adam": Adam(lr=0.05),
    "torch SGD": lambda x: torch.optim.SGD([x], lr=5e-3),
    "torch LBFGS": torch_lbfgs,
}


@pytest.fixture(params=STRATEGIES, ids=str)
def strategy(request: pytest.FixtureRequest) -> Any:
    return STRATEGIES[request.param]


@pytest.fixture
def start() -> Tensor:
    return torch.rand(SHAPE, dtype=torch.float64)


def test_every_optimizer_lowers_the_loss_and_only_evaluates_inside_the_range(strategy: Any, start: Tensor) -> None:
    evaluate, seen = quadratic(), []

    def watched(x):
        seen.append((float(x.min()), float(x.max())))
        return evaluate(x)

    found = minimize(strategy, start, watched, 60)
    assert found.loss < 0.6 * evaluate(start)[0]
    assert min(low for low, _ in seen) >= 0
    assert max(high for _, high in seen) <= 1


def test_the_result_is_the_best_picture_evaluated_and_the_start_is_untouched(strategy: Any, start: Tensor) -> None:
    evaluate, losses, before = quadratic(), [], start.clone()
    found = minimize(strategy, start, evaluate, 25, lambda count, loss, best: losses.append(loss) or True)
    assert found.loss == min(losses)
    assert evaluate(found.image)[0] == pytest.approx(found.loss, rel=1e-12)
    assert torch.equal(start, before)


def test_the_number_of_evaluations_is_exact(strategy: Any, start: Tensor) -> None:
    counts = []
    found = minimize(strategy, start, quadratic(), 17, lambda count, loss, best: counts.append(count) or True)
    assert found.evaluations == 17
    assert counts == list(range(1, 18))
    assert not found.stopped


def test_the_watcher_stops_the_run(strategy: Any, start: Tensor) -> None:
    found = minimize(strategy, start, quadratic(), 100, lambda count, loss, best: count < 5)
    assert found.evaluations == 5
    assert found.stopped


def test_an_error_carries_the_best_picture_so_far(strategy: Any, start: Tensor) -> None:
    evaluate, calls = quadratic(), []

    def failing(x):
        calls.append(evaluate(x)[0])
        if len(calls) == 8:
            raise FloatingPointError("broken")
        return evaluate(x)

    with pytest.raises(FloatingPointError) as caught:
        minimize(strategy, start, failing, 100)
    assert evaluate(caught.value.kept)[0] == pytest.approx(min(calls[:-1]), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_lbfgs_finds_the_bounded_minimum_that_scipy_finds(seed: int, start: Tensor) -> None:
    evaluate = quadratic(seed)

    def flat(v):
        loss, gradient = evaluate(torch.from_numpy(v).view(SHAPE))
        return loss, gradient.flatten().numpy()

    reference = scipy.optimize.minimize(
        flat, start.flatten().numpy(), jac=True, method="L-BFGS-B", bounds=scipy.optimize.Bounds(0, 1), tol=1e-12
    )
    found = minimize(LBFGS(), start, evaluate, 400)
    assert found.loss == pytest.approx(reference.fun, rel=1e-8)
    assert np.isclose(found.image, 0).any()
    assert np.isclose(found.image, 1).any()


def test_lbfgs_converges_faster_than_the_gradient_alone(start: Tensor) -> None:
    evaluate = quadratic(condition=1e4)
    steepest = minimize(lambda x: torch.optim.SGD([x], lr=1e-4), start, evaluate, 80)
    best = minimize(LBFGS(), start, evaluate, 400).loss
    assert minimize(LBFGS(), start, evaluate, 80).loss - best < 0.01 * (steepest.loss - best)


def test_lbfgs_ends_by_itself_at_a_minimum() -> None:
    corner = torch.zeros(SHAPE)
    found = minimize(LBFGS(), corner, lambda x: (float(x.sum()), torch.ones_like(x)), 100)
    assert found.evaluations == 1
    assert not found.stopped


def test_lbfgs_gets_past_a_step_that_is_far_too_long(start: Tensor) -> None:
    evaluate = quadratic()
    assert minimize(LBFGS(first_step=100), start, evaluate, 60).loss < 0.6 * evaluate(start)[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LBFGS(history=0), "history"),
        (lambda: LBFGS(history=2.5), "history"),
        (lambda: LBFGS(first_step=math.nan), "first step"),
        (lambda: Adam(lr=0), "learning rate"),
    ],
)
def test_bad_settings_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_factory_that_makes_no_optimizer_is_named(start: Tensor) -> None:
    with pytest.raises(TypeError, match=r"torch\.optim\.Optimizer"):
        minimize(lambda x: None, start, quadratic(), 5)


# --- what an optimizer is


def test_names_and_none_are_strategies_with_their_defaults(start: Tensor) -> None:
    assert as_strategy("lbfgs") == as_strategy(None) == LBFGS()
    assert as_strategy("adam") == Adam()
    for strategy in (LBFGS(history=3), Adam(lr=0.1), Steps([])):
        assert as_strategy(strategy) is strategy
    assert as_strategy(torch_lbfgs) == FromFactory(torch_lbfgs)
    named = minimize("adam", start, quadratic(), 5)
    assert torch.equal(named.image, minimize(Adam(), start, quadratic(), 5).image)


def test_a_factory_is_described_by_its_name() -> None:
    assert repr(FromFactory(torch_lbfgs)) == f"FromFactory({__name__}.torch_lbfgs)"
    assert "functools.partial" in repr(FromFactory(partial(sgd, lr=1)))


class Own(torch.optim.SGD):
    pass


@pytest.mark.parametrize(
    ("optimizer", "error", "message"),
    [
        ("adm", ValueError, "unknown optimizer 'adm': did you mean 'adam'"),
        (
            torch.optim.Adam,
            TypeError,
            r"class Adam .* lambda x: torch.optim.Adam\(\[x\], lr=0.02\)",
        ),
        (Own, TypeError, r"such as lambda x: Own\(\[x\], lr=0.02\)"),
        (
            torch.optim.SGD([torch.zeros(1)], lr=1),
            TypeError,
            r"other tensors.* lambda x: torch.optim.SGD\(\[x",
        ),
        (LBFGS, TypeError, r"an object, received the class; give LBFGS\(\)"),
        (3, TypeError, r"LBFGS\(\), Adam\(\), one of the names 'lbfgs', 'adam', .*; received 3"),
    ],
)
def test_what_is_no_optimizer_is_told_what_to_give(
    optimizer: Any, error: type[Exception], message: str, start: Tensor
) -> None:
    with pytest.raises(error, match=message):
        as_strategy(optimizer)
    with pytest.raises(error, match=message):
        minimize(optimizer, start, quadratic(), 5)


class Wrong:
    """A strategy whose steps are made by a function of the picture, after an evaluation of what another makes."""

    def __init__(
        self, step: Callable[[Tensor], Any] = lambda x: {"image": x}, evaluated: Callable[[Tensor], Any] = lambda x: x
    ) -> None:
        self.step, self.evaluated = step, evaluated

    def walk(self, image: Tensor, evaluate: Evaluate, state: Any = None) -> Any:
        while True:
            evaluate(self.evaluated(image))
            yield self.step(image)


class NoGenerator:
    def walk(self, image: Tensor, evaluate: Evaluate, state: Any = None) -> Any:
        evaluate(image)


@pytest.mark.parametrize(
    ("strategy", "error", "message"),
    [
        (Wrong(lambda x: x), TypeError, "under 'image'; Wrong yields a Tensor"),
        (Wrong(lambda x: {"picture": x}), TypeError, "under 'image'; Wrong yields a dict with 'picture'"),
        (Wrong(lambda x: {"image": 3}), TypeError, "under 'image'; Wrong yields a dict with 'image'"),
        (Wrong(lambda x: None), TypeError, "under 'image'; Wrong yields None"),
        (Wrong(lambda x: {"image": x[0]}), ValueError, r"Wrong yields a picture of shape \(3, 6, 5\).* \(1, 3, 6, 5\)"),
        (
            Wrong(lambda x: {"image": x - 0.5}),
            ValueError,
            r"Wrong yields a picture in \[-0.\d+, 0.\d+\].*clamp",
        ),
        (Wrong(evaluated=lambda x: x + 1), ValueError, r"Wrong evaluates a picture in \[1\.\d+, 1\.\d+\].*clamp"),
        (Wrong(evaluated=lambda x: x.flatten()), ValueError, r"Wrong evaluates a picture of shape \(90,\)"),
        (Wrong(evaluated=lambda x: 3), TypeError, "Wrong evaluates a int; a strategy evaluates pictures"),
        (NoGenerator(), TypeError, "is a generator .*; that of NoGenerator returns None"),
    ],
)
def test_a_strategy_that_breaks_the_rules_is_named(
    strategy: Any, error: type[Exception], message: str, start: Tensor
) -> None:
    with pytest.raises(error, match=message):
        minimize(strategy, start, quadratic(), 5)


def test_a_strategy_that_leaves_the_range_later_is_found_by_the_next_power_of_two(start: Tensor) -> None:
    class Drift:
        def walk(self, image, evaluate, state=None):
            for number in range(100):
                evaluate(image)
                image = image + (number > 4)
                yield {"image": image}

    counts = []
    with pytest.raises(ValueError, match=r"Drift evaluates a picture in \[2\.") as caught:
        minimize(Drift(), start, quadratic(), 100, lambda count, loss, kept: counts.append(count))
    assert counts[-1] == 7
    assert caught.value.kept.shape == SHAPE


def test_a_start_outside_the_range_is_not_blamed_on_the_strategy(start: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^the start of a minimisation lies in \[0, 1\]"):
        minimize(LBFGS(), start + 1, quadratic(), 5)
    with pytest.raises(ValueError, match=r"^the start of a minimisation lies in \[0, 1\]"):
        minimize(LBFGS(), start - 1, quadratic(), 5)


def test_a_picture_that_is_not_a_number_is_left_to_the_objective(start: Tensor) -> None:
    seen = []
    minimize(Wrong(evaluated=lambda x: x * math.nan), start, lambda x: (0.0, seen.append(x) or x), 3)
    assert len(seen) == 3


# --- which picture is returned


class Steps:
    """A strategy that takes given steps, evaluating each picture once or twice before it."""

    def __init__(self, pictures: list[Tensor]) -> None:
        self.pictures = pictures

    def walk(self, image: Tensor, evaluate: Evaluate, state: Any = None) -> Any:
        for number, picture in enumerate(self.pictures):
            for _ in range(1 + number % 2):
                evaluate(picture)
            yield {"image": picture}


def pictures(count: int, noise: Noise) -> list[Tensor]:
    return [noise(*SHAPE, seed=number, dtype=torch.float64) for number in range(count)]


def test_the_last_picture_is_the_one_after_the_last_whole_step(start: Tensor, noise: Noise) -> None:
    steps = pictures(6, noise)
    # Evaluations 1, 2, 2, 3, 4, 4: the fifth is the first of two for the fourth step, which does not end.
    found = minimize(Steps(steps), start, quadratic(), 5, result="last")
    assert torch.equal(found.image, steps[2])
    assert torch.equal(minimize(Steps(steps), start, quadratic(), 6, result="last").image, steps[3])


def test_the_average_is_the_exponential_one_without_its_bias_to_the_start(start: Tensor, noise: Noise) -> None:
    steps, running = pictures(150, noise), torch.zeros(SHAPE, dtype=torch.float64)
    for count, picture in enumerate(steps, start=1):
        running = AVERAGE_DECAY * running + (1 - AVERAGE_DECAY) * picture
        if count in (1, 2, 150):
            found = minimize(Steps(steps[:count]), start, quadratic(), 10**6, result="average")
            assert torch.allclose(found.image, running / (1 - AVERAGE_DECAY**count), rtol=0, atol=1e-12)


@pytest.mark.parametrize("result", RESULTS)
def test_the_watcher_sees_what_would_be_returned_if_it_stopped(strategy: Any, start: Tensor, result: Any) -> None:
    seen = []

    def record(count, loss, kept):
        seen.append((kept, kept.clone()))
        return count < 13

    found = minimize(strategy, start, quadratic(), 100, record, result=result)
    assert torch.equal(seen[-1][0], found.image)
    assert all(torch.equal(kept, copy) for kept, copy in seen)  # and what it has seen stays as it was


@pytest.mark.parametrize("result", ["last", "average"])
def test_before_the_first_whole_step_the_start_is_kept(start: Tensor, result: Any) -> None:
    found = minimize(torch_lbfgs, start, quadratic(), 50, lambda count, loss, kept: count < 3, result=result)
    assert torch.equal(found.image, start)


@pytest.mark.parametrize("result", RESULTS)
def test_the_last_picture_that_the_watcher_sees_is_the_result(strategy: Any, start: Tensor, result: Any) -> None:
    seen = []
    found = minimize(strategy, start, quadratic(), 14, lambda *progress: seen.append(progress) or True, result=result)
    assert [count for count, _, _ in seen] == list(range(1, 15))
    assert torch.equal(seen[-1][2], found.image)


def test_the_average_of_a_bounded_walk_stays_in_bounds(strategy: Any, start: Tensor) -> None:
    found = minimize(strategy, start.float(), lambda x: (float(x.sum()), torch.ones_like(x)), 40, result="average")
    assert 0 <= found.image.min() <= found.image.max() <= 1


def test_an_unknown_picture_to_keep_is_named(start: Tensor) -> None:
    with pytest.raises(ValueError, match="did you mean 'best'"):
        minimize(LBFGS(), start, quadratic(), 5, result="bests")


# --- stopped and continued


CONTINUED = {
    "LBFGS": lambda folder: LBFGS(history=3),
    "LBFGS, chosen history": lambda folder: LBFGS(),
    "LBFGS on the CPU": lambda folder: LBFGS(history=3, store="cpu"),
    "LBFGS in a folder": lambda folder: LBFGS(history=3, store=folder),
    "LBFGS, too long a step": lambda folder: LBFGS(history=3, first_step=10),
    "Adam": lambda folder: Adam(lr=0.05),
    "torch SGD with momentum": lambda folder: partial(sgd, lr=5e-3, momentum=0.9, nesterov=True),
    "torch LBFGS": lambda folder: torch_lbfgs,
    "torch Adam, amsgrad": lambda folder: lambda x: torch.optim.Adam([x], lr=0.05, amsgrad=True),
}


def sgd(x: Tensor, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD([x], **options)


def rosenbrock(x: Tensor) -> tuple[float, Tensor]:
    """Not quadratic, so that line searches need several evaluations; loss and gradient in the picture's precision."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        a, b = x.flatten()[:-1], x.flatten()[1:]
        loss = (100 * (b - a.square()).square() + (0.7 - a).square()).sum()
        return loss.item(), torch.autograd.grad(loss, x)[0]


@pytest.fixture
def _careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are not flushed to the disk, which takes its time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.mark.usefixtures("_careless")
@pytest.mark.parametrize(
    ("name", "result"),
    [*((name, "best") for name in CONTINUED), *((name, r) for name in ("LBFGS", "Adam") for r in ("last", "average"))],
)
def test_a_walk_continued_from_a_file_is_the_walk_itself(name: str, result: Any, start: Tensor, tmp_path: Path) -> None:
    evaluations, start = 14, start.float()

    def run(watched, paused, resume=None):
        strategy = CONTINUED[name](tmp_path)
        return minimize(strategy, start, rosenbrock, evaluations, watched, result=result, resume=resume, on_step=paused)

    states, losses = [], []
    whole = run(
        lambda count, loss, kept: losses.append((count, loss)) or True,
        lambda state: states.append((save_state(tmp_path / f"{len(states)}.safetensors", state), state["count"])),
    )
    assert len(states) >= 3
    assert max(count for _, count in states) < evaluations  # what is continued has something to do
    assert whole.loss < losses[0][1]
    for path, count in states:
        again = []
        found = run(
            lambda count, loss, kept, again=again: again.append((count, loss)) or True,
            lambda state: None,
            load_state(path),
        )
        assert again == losses[count:]  # every evaluation after it, and to the last bit
        assert found.image.numpy().tobytes() == whole.image.numpy().tobytes()
        assert (found.loss, found.evaluations) == (whole.loss, whole.evaluations)


@pytest.mark.usefixtures("_careless")
@pytest.mark.parametrize("result", RESULTS)
def test_a_walk_stopped_and_continued_at_every_step_is_the_walk_itself(
    strategy: Any, result: Any, start: Tensor, tmp_path: Path
) -> None:
    whole = minimize(strategy, start, rosenbrock, 15, result=result)
    resume = None
    for _ in range(17):
        states = []

        def pause(state, states=states):
            states.append(save_state(tmp_path / "state.safetensors", state))
            raise KeyboardInterrupt  # killed after a step

        try:
            found = minimize(strategy, start, rosenbrock, 15, result=result, resume=resume, on_step=pause)
        except KeyboardInterrupt:
            resume = load_state(states[0])
        else:
            break
    assert found.image.numpy().tobytes() == whole.image.numpy().tobytes()


@pytest.mark.parametrize("strategy", [LBFGS(), Adam()], ids=["LBFGS", "Adam"])
@pytest.mark.parametrize(
    "change",
    [
        lambda walk: [walk.pop(name) for name in list(walk) if name != "image"],
        lambda walk: walk.update(dict.fromkeys([name for name in walk if name != "image"], 3)),
        lambda walk: walk.update(image=torch.zeros(1, 3, 7, 9)),
        lambda walk: walk.update(image=torch.zeros(3)),
    ],
    ids=["missing", "of another type", "of another size", "of another shape"],
)
def test_a_state_that_is_not_the_strategys_own_is_refused(strategy: Any, change: Any, start: Tensor) -> None:
    states = []
    minimize(strategy, start, rosenbrock, 4, on_step=lambda state: states.append(copy.deepcopy(state)))
    change(states[-1]["walk"])
    with pytest.raises(ValueError, match=r"cannot continue from this state|a picture of shape"):
        minimize(strategy, start, rosenbrock, 9, resume=states[-1])


def test_an_error_of_the_evaluation_is_not_blamed_on_the_state(strategy: Any, start: Tensor) -> None:
    states = []
    minimize(strategy, start, rosenbrock, 14, on_step=lambda state: states.append(copy.deepcopy(state)))

    def broken(x):
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        minimize(strategy, start, broken, 30, resume=states[-1])


def test_a_converged_walk_that_is_continued_has_converged(tmp_path: Path) -> None:
    corner, states = torch.full(SHAPE, 0.01), []

    def evaluate(x):
        return float(x.sum()), torch.ones_like(x)

    whole = minimize(LBFGS(), corner, evaluate, 100, on_step=states.append)
    assert whole.evaluations < 100
    again = minimize(LBFGS(), corner, evaluate, 100, resume=load_state(save_state(tmp_path / "s", states[-1])))
    assert again.evaluations == whole.evaluations
    assert torch.equal(again.image, whole.image)


def test_pictures_and_gradients_are_evaluated_and_kept_in_one_order_of_memory(strategy: Any, start: Tensor) -> None:
    # A state read from a file is contiguous, and sums over another order in memory are rounded differently.
    start = start.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)[:1]
    states = []

    def evaluate(x):
        assert x.is_contiguous()
        loss, gradient = rosenbrock(x)
        return loss, gradient.contiguous(memory_format=torch.channels_last)

    minimize(strategy, start, evaluate, 10, on_step=lambda state: states.append(state["walk"]["image"].is_contiguous()))
    assert all(states)


# --- the memory of L-BFGS


def history(strategy: Any, image: Tensor, steps: int = 30) -> int:
    """How many pairs are kept in the end."""
    states = []
    minimize(strategy, image, quadratic(condition=1e4), steps, on_step=lambda state: states.append(state["walk"]))
    return max(len(state["pairs"]) for state in states)


def test_the_history_is_chosen_by_the_memory_that_is_free(
    start: Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pair = 2 * start.numel() * start.element_size()
    for free, expected in [(0, MIN_PAIRS), (2 * 7 * pair, 7), (2 * 8 * pair - 1, 7), (10**12, MAX_PAIRS)]:
        monkeypatch.setattr(lbfgs, "free_memory", lambda device, free=free: free)
        assert history(LBFGS(), start) == expected
        assert history(LBFGS(store="cpu"), start) == expected
        assert history(LBFGS(history=5), start) == 5
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 10**12)
    monkeypatch.setattr(lbfgs, "MAX_PAIR_BYTES", 6 * pair)  # a large picture, which gets few evaluations
    assert history(LBFGS(), start) == LBFGS().most_pairs(pair // 2) == 6
    assert history(LBFGS(history=9), start) == 9
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 0)
    assert history(LBFGS(store=tmp_path), start) == MAX_PAIRS  # the disk is not asked


def test_a_continued_walk_keeps_its_history_whatever_is_free_now(
    start: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 0)
    minimize(LBFGS(), start, rosenbrock, 20, on_step=states.append)
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 10**12)
    minimize(LBFGS(), start, rosenbrock, 40, resume=states[-1], on_step=states.append)
    assert max(len(state["walk"]["pairs"]) for state in states) == MIN_PAIRS


def test_every_store_gives_the_same_picture_and_a_folder_is_left_empty(start: Tensor, tmp_path: Path) -> None:
    images = [minimize(LBFGS(store=s), start, rosenbrock, 40).image for s in ("device", "cpu", tmp_path, str(tmp_path))]
    assert all(torch.equal(images[0], image) for image in images[1:])
    assert list(tmp_path.iterdir()) == []


def test_pairs_in_a_folder_lie_in_files_there_that_have_no_name(start: Tensor, tmp_path: Path) -> None:
    states = []
    minimize(LBFGS(history=4, store=tmp_path), start, rosenbrock, 20, on_step=states.append)
    assert list(tmp_path.iterdir()) == []
    assert len(states[-1]["walk"]["pairs"]) == 4
    maps = "/proc/self/maps"
    if os.path.exists(maps):  # noqa: PTH110 - it is no ordinary file
        with open(maps) as file:  # noqa: PTH123
            mapped = [line for line in file if str(tmp_path) in line]
        assert len(mapped) >= 8


def test_a_full_disk_is_an_error_of_the_system(start: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        minimize(LBFGS(store=tmp_path), start, rosenbrock, 20)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_store_is_named(tmp_path: Path) -> None:
    for store in ("disk", tmp_path / "missing"):
        with pytest.raises(ValueError, match="'device', the 'cpu' or in a folder"):
            LBFGS(store=store)


def test_a_factory_that_forgets_the_list_is_told_so(start):
    with pytest.raises(TypeError, match=r"put it in one: lambda x: torch\.optim\.Adam\(\[x\], lr=0\.02\)"):
        minimize(lambda x: torch.optim.Adam(x, lr=0.02), start, rosenbrock, 3)


@pytest.mark.parametrize("strategy", [LBFGS(), InParameters(LBFGS(), Smoothed()), lambda x: torch.optim.SGD([x], 0.01)])
def test_a_finished_minimisation_holds_no_memory(strategy: Any, start: Tensor) -> None:
    """Not even until Python next looks for cycles, which a print of many copies of its picture would wait for."""
    pictures, objective = [], quadratic()

    def evaluate(x: Tensor) -> tuple[float, Tensor]:
        loss, gradient = objective(x)
        pictures.append(weakref.ref(gradient))
        return loss, gradient

    gc.disable()
    try:
        minimize(strategy, start, evaluate, 5)
        assert len(pictures) == 5
        assert not any(picture() is not None for picture in pictures)
    finally:
        gc.enable()
