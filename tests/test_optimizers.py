import math

import numpy as np
import pytest
import scipy.optimize
import torch

from neuralstyle import LBFGS, Adam
from neuralstyle.optimizers import minimize

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
    assert evaluate(caught.value.best)[0] == pytest.approx(min(calls[:-1]), rel=1e-12)


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
