import math
import os
from functools import partial

import numpy as np
import pytest
import scipy.optimize
import torch

from neuralstyle import LBFGS, Adam
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.optimizers import lbfgs
from neuralstyle.optimizers.lbfgs import FEWEST_PAIRS, MOST_PAIRS
from neuralstyle.optimizers.minimize import AVERAGE_DECAY, KEEPS, minimize

SHAPE = (1, 3, 6, 5)


def quadratic(seed=0, condition=100.0):
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


def torch_lbfgs(x):
    return torch.optim.LBFGS([x], max_iter=4)


STRATEGIES = {
    "LBFGS": LBFGS(),
    "LBFGS, one pair": LBFGS(history=1),
    "Adam": Adam(lr=0.05),
    "torch SGD": lambda x: torch.optim.SGD([x], lr=5e-3),
    "torch LBFGS": torch_lbfgs,
}


@pytest.fixture(params=STRATEGIES, ids=str)
def strategy(request):
    return STRATEGIES[request.param]


@pytest.fixture
def start():
    return torch.rand(SHAPE, dtype=torch.float64)


def test_every_optimizer_lowers_the_loss_and_only_evaluates_inside_the_range(strategy, start):
    evaluate, seen = quadratic(), []

    def watched(x):
        seen.append((float(x.min()), float(x.max())))
        return evaluate(x)

    found = minimize(strategy, start, watched, 60)
    assert found.loss < 0.6 * evaluate(start)[0]
    assert min(low for low, _ in seen) >= 0
    assert max(high for _, high in seen) <= 1


def test_the_result_is_the_best_picture_evaluated_and_the_start_is_untouched(strategy, start):
    evaluate, losses, before = quadratic(), [], start.clone()
    found = minimize(strategy, start, evaluate, 25, lambda count, loss, best: losses.append(loss) or True)
    assert found.loss == min(losses)
    assert evaluate(found.image)[0] == pytest.approx(found.loss, rel=1e-12)
    assert torch.equal(start, before)


def test_the_number_of_evaluations_is_exact(strategy, start):
    counts = []
    found = minimize(strategy, start, quadratic(), 17, lambda count, loss, best: counts.append(count) or True)
    assert found.evaluations == 17
    assert counts == list(range(1, 18))
    assert not found.stopped


def test_the_watcher_stops_the_run(strategy, start):
    found = minimize(strategy, start, quadratic(), 100, lambda count, loss, best: count < 5)
    assert found.evaluations == 5
    assert found.stopped


def test_an_error_carries_the_best_picture_so_far(strategy, start):
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
def test_lbfgs_finds_the_bounded_minimum_that_scipy_finds(seed, start):
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


def test_lbfgs_converges_faster_than_the_gradient_alone(start):
    evaluate = quadratic(condition=1e4)
    steepest = minimize(lambda x: torch.optim.SGD([x], lr=1e-4), start, evaluate, 80)
    best = minimize(LBFGS(), start, evaluate, 400).loss
    assert minimize(LBFGS(), start, evaluate, 80).loss - best < 0.01 * (steepest.loss - best)


def test_lbfgs_ends_by_itself_at_a_minimum():
    corner = torch.zeros(SHAPE)
    found = minimize(LBFGS(), corner, lambda x: (float(x.sum()), torch.ones_like(x)), 100)
    assert found.evaluations == 1
    assert not found.stopped


def test_lbfgs_gets_past_a_step_that_is_far_too_long(start):
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
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_factory_that_makes_no_optimizer_is_named(start):
    with pytest.raises(TypeError, match=r"torch\.optim\.Optimizer"):
        minimize(lambda x: None, start, quadratic(), 5)


# --- which picture is returned


class Steps:
    """A strategy that takes given steps, evaluating each picture once or twice before it."""

    def __init__(self, pictures):
        self.pictures = pictures

    def walk(self, image, evaluate, state=None):
        for number, picture in enumerate(self.pictures):
            for _ in range(1 + number % 2):
                evaluate(picture)
            yield {"image": picture}


def pictures(count, noise):
    return [noise(*SHAPE, seed=number, dtype=torch.float64) for number in range(count)]


def test_the_last_picture_is_the_one_after_the_last_whole_step(start, noise):
    steps = pictures(6, noise)
    # Evaluations 1, 2, 2, 3, 4, 4: the fifth is the first of two for the fourth step, which does not end.
    found = minimize(Steps(steps), start, quadratic(), 5, keep="last")
    assert torch.equal(found.image, steps[2])
    assert torch.equal(minimize(Steps(steps), start, quadratic(), 6, keep="last").image, steps[3])


def test_the_average_is_the_exponential_one_without_its_bias_to_the_start(start, noise):
    steps, running = pictures(150, noise), torch.zeros(SHAPE, dtype=torch.float64)
    for count, picture in enumerate(steps, start=1):
        running = AVERAGE_DECAY * running + (1 - AVERAGE_DECAY) * picture
        if count in (1, 2, 150):
            found = minimize(Steps(steps[:count]), start, quadratic(), 10**6, keep="average")
            assert torch.allclose(found.image, running / (1 - AVERAGE_DECAY**count), rtol=0, atol=1e-12)


@pytest.mark.parametrize("keep", KEEPS)
def test_the_watcher_sees_what_would_be_returned_if_it_stopped(strategy, start, keep):
    seen = []

    def watch(count, loss, kept):
        seen.append((kept, kept.clone()))
        return count < 13

    found = minimize(strategy, start, quadratic(), 100, watch, keep=keep)
    assert torch.equal(seen[-1][0], found.image)
    assert all(torch.equal(kept, copy) for kept, copy in seen)  # and what it has seen stays as it was


@pytest.mark.parametrize("keep", ["last", "average"])
def test_before_the_first_whole_step_the_start_is_kept(start, keep):
    found = minimize(torch_lbfgs, start, quadratic(), 50, lambda count, loss, kept: count < 3, keep=keep)
    assert torch.equal(found.image, start)


@pytest.mark.parametrize("keep", KEEPS)
def test_the_last_picture_that_the_watcher_sees_is_the_result(strategy, start, keep):
    seen = []
    found = minimize(strategy, start, quadratic(), 14, lambda *progress: seen.append(progress) or True, keep=keep)
    assert [count for count, _, _ in seen] == list(range(1, 15))
    assert torch.equal(seen[-1][2], found.image)


def test_the_average_of_a_bounded_walk_stays_in_bounds(strategy, start):
    found = minimize(strategy, start.float(), lambda x: (float(x.sum()), torch.ones_like(x)), 40, keep="average")
    assert 0 <= found.image.min() <= found.image.max() <= 1


def test_an_unknown_picture_to_keep_is_named(start):
    with pytest.raises(ValueError, match="did you mean 'best'"):
        minimize(LBFGS(), start, quadratic(), 5, keep="bests")


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


def sgd(x, **options):
    return torch.optim.SGD([x], **options)


def rosenbrock(x):
    """Not quadratic, so that line searches need several evaluations; loss and gradient in the picture's precision."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        a, b = x.flatten()[:-1], x.flatten()[1:]
        loss = (100 * (b - a.square()).square() + (0.7 - a).square()).sum()
        return loss.item(), torch.autograd.grad(loss, x)[0]


@pytest.fixture
def _careless(monkeypatch):
    """States are not flushed to the disk, which takes its time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.mark.usefixtures("_careless")
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("name", CONTINUED)
def test_a_walk_continued_from_a_file_is_the_walk_itself(name, keep, start, tmp_path):
    evaluations, start = 14, start.float()

    def run(watched, paused, resume=None):
        strategy = CONTINUED[name](tmp_path)
        return minimize(strategy, start, rosenbrock, evaluations, watched, keep=keep, resume=resume, pause=paused)

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
@pytest.mark.parametrize("keep", KEEPS)
def test_a_walk_stopped_and_continued_at_every_step_is_the_walk_itself(strategy, keep, start, tmp_path):
    whole = minimize(strategy, start, rosenbrock, 15, keep=keep)
    resume = None
    for _ in range(17):
        states = []

        def pause(state, states=states):
            states.append(save_state(tmp_path / "state.safetensors", state))
            raise KeyboardInterrupt  # killed after a step

        try:
            found = minimize(strategy, start, rosenbrock, 15, keep=keep, resume=resume, pause=pause)
        except KeyboardInterrupt:
            resume = load_state(states[0])
        else:
            break
    assert found.image.numpy().tobytes() == whole.image.numpy().tobytes()


def test_a_converged_walk_that_is_continued_has_converged(tmp_path):
    corner, states = torch.full(SHAPE, 0.01), []

    def evaluate(x):
        return float(x.sum()), torch.ones_like(x)

    whole = minimize(LBFGS(), corner, evaluate, 100, pause=states.append)
    assert whole.evaluations < 100
    again = minimize(LBFGS(), corner, evaluate, 100, resume=load_state(save_state(tmp_path / "s", states[-1])))
    assert again.evaluations == whole.evaluations
    assert torch.equal(again.image, whole.image)


def test_pictures_and_gradients_are_evaluated_and_kept_in_one_order_of_memory(strategy, start):
    # A state read from a file is contiguous, and sums over another order in memory are rounded differently.
    start = start.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)[:1]
    states = []

    def evaluate(x):
        assert x.is_contiguous()
        loss, gradient = rosenbrock(x)
        return loss, gradient.contiguous(memory_format=torch.channels_last)

    minimize(strategy, start, evaluate, 10, pause=lambda state: states.append(state["walk"]["image"].is_contiguous()))
    assert all(states)


# --- the memory of L-BFGS


def history(strategy, image, steps=30):
    """How many pairs are kept in the end."""
    states = []
    minimize(strategy, image, quadratic(condition=1e4), steps, pause=lambda state: states.append(state["walk"]))
    return max(len(state["pairs"]) for state in states)


def test_the_history_is_chosen_by_the_memory_that_is_free(start, monkeypatch, tmp_path):
    pair = 2 * start.numel() * start.element_size()
    for free, expected in [(0, FEWEST_PAIRS), (2 * 7 * pair, 7), (2 * 8 * pair - 1, 7), (10**12, MOST_PAIRS)]:
        monkeypatch.setattr(lbfgs, "free_memory", lambda device, free=free: free)
        assert history(LBFGS(), start) == expected
        assert history(LBFGS(store="cpu"), start) == expected
        assert history(LBFGS(history=5), start) == 5
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 0)
    assert history(LBFGS(store=tmp_path), start) == MOST_PAIRS  # the disk is not asked


def test_a_continued_walk_keeps_its_history_whatever_is_free_now(start, monkeypatch):
    states = []
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 0)
    minimize(LBFGS(), start, rosenbrock, 20, pause=states.append)
    monkeypatch.setattr(lbfgs, "free_memory", lambda device: 10**12)
    minimize(LBFGS(), start, rosenbrock, 40, resume=states[-1], pause=states.append)
    assert max(len(state["walk"]["pairs"]) for state in states) == FEWEST_PAIRS


def test_every_store_gives_the_same_picture_and_a_folder_is_left_empty(start, tmp_path):
    images = [minimize(LBFGS(store=s), start, rosenbrock, 40).image for s in ("device", "cpu", tmp_path, str(tmp_path))]
    assert all(torch.equal(images[0], image) for image in images[1:])
    assert list(tmp_path.iterdir()) == []


def test_pairs_in_a_folder_lie_in_files_there_that_have_no_name(start, tmp_path):
    states = []
    minimize(LBFGS(history=4, store=tmp_path), start, rosenbrock, 20, pause=states.append)
    assert list(tmp_path.iterdir()) == []
    assert len(states[-1]["walk"]["pairs"]) == 4
    maps = "/proc/self/maps"
    if os.path.exists(maps):  # noqa: PTH110 - it is no ordinary file
        with open(maps) as file:  # noqa: PTH123
            mapped = [line for line in file if str(tmp_path) in line]
        assert len(mapped) >= 8


def test_a_full_disk_is_an_error_of_the_system(start, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        minimize(LBFGS(store=tmp_path), start, rosenbrock, 20)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_store_is_named(tmp_path):
    for store in ("disk", tmp_path / "missing"):
        with pytest.raises(ValueError, match="'device', the 'cpu' or in a folder"):
            LBFGS(store=store)


def test_free_memory_is_within_the_machines_and_within_a_containers_limit(monkeypatch, tmp_path):
    import psutil

    from neuralstyle.machine import memory

    cpu = torch.device("cpu")
    assert 0 < memory.free_memory(cpu) <= psutil.virtual_memory().total
    limit, use = tmp_path / "limit", tmp_path / "use"
    monkeypatch.setattr(memory, "_LIMITS", [(str(limit), str(use))])
    without = memory.free_memory(cpu)
    assert without > 10**6
    use.write_text("1000\n")
    limit.write_text("5000\n")
    assert memory.free_memory(cpu) == 4000
    limit.write_text("500\n")
    assert memory.free_memory(cpu) == 0
    limit.write_text("max\n")
    assert memory.free_memory(cpu) > 10**6
