"""Several processes on this machine, by gloo: the results of one, and an end with a name when one is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from neuralstyle import distributed

# What the processes run, one of them alone for comparison.
WORK = """
import sys, torch
from neuralstyle import *
from neuralstyle import distributed
from neuralstyle.optimizers.minimize import minimize

class Whole(Loss):
    layers, reference = ("relu1_1", "relu2_1"), "content"
    def forward(self, x, target):
        return (x.std((2, 3)) - target.std((2, 3))).square().mean() + (x * target).mean()

torch.set_num_threads(1)
with distributed.session():
    encoder = FeatureExtractor(layers=["relu2_1"]).double()
    generator = torch.Generator().manual_seed(0)
    image, content, style = (torch.rand(1, 3, 37, 50, generator=generator, dtype=torch.float64) for _ in range(3))
    losses = ContentLoss("relu2_1") + 10 * GramStyleLoss(("relu1_1", "relu2_1")) + TotalVariationLoss() + 0.1 * Whole()
    styles = [Style(style, region=content[:, :1], mask=image[:, :1])]
    found = {}
    guided = ContentLoss("relu2_1") + 3 * GramStyleLoss(("relu1_1",))
    objective = Objective(encoder, guided, content=content, styles=styles)
    found["regions"] = objective.evaluate(image, 16).gradient
    for tile in (None, 16):
        objective = Objective(encoder, losses, content=content, styles=[style], tile=tile)
        seen = []
        evaluation = objective.evaluate(image, tile, on_tile=lambda done, total: seen.append((done, total)))
        found[f"tile {tile}"] = evaluation.gradient
        found[f"terms {tile}"] = torch.tensor(list(evaluation.terms.values()), dtype=torch.float64)
        found[f"seen {tile}"] = torch.tensor(seen[-1])
    small = GramStyleLoss("relu2_1", layer_weights=None)
    found["too small"] = Objective(encoder, small, styles=[style]).evaluate(image[..., :2, :2]).gradient
    def evaluate(x):
        evaluation = objective.evaluate(x, 16)
        return evaluation.loss, evaluation.gradient
    found["picture"] = minimize(LBFGS(), content, evaluate, 6).image
    torch.save(found, f"{sys.argv[1]}/{distributed.world()}-{distributed.rank()}.pt")
    assert distributed.is_writer() == (distributed.rank() == 0)
"""
ENDING = """
import os, signal, sys, time, torch
from neuralstyle import *
from neuralstyle import distributed

how, victim = sys.argv[1], int(sys.argv[2])
distributed.LONG_SILENCE_LIMIT = float(sys.argv[3])
torch.set_num_threads(1)

def watch(done, total):
    if distributed.rank() == victim and rounds == 3:
        print("victim", time.time(), file=sys.stderr, flush=True)
        if how == "raise":
            raise RuntimeError("broken here\\nand there")
        os.kill(os.getpid(), signal.SIGKILL)

try:
    with distributed.session():
        image = torch.rand(1, 3, 32, 32)
        objective = Objective(FeatureExtractor(layers=["image"]), TotalVariationLoss("image"))
        for rounds in range(100000):
            objective.evaluate(image, 16, on_tile=watch)
except Exception as error:
    print("error:", error, file=sys.stderr)
    sys.exit(2)
"""


def environment(**more: object) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    root = str(Path(__file__).parents[2])
    return {**ours, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, **{name: str(value) for name, value in more.items()}}


def start(size: int, code: str, *arguments: object) -> list[subprocess.Popen[str]]:
    """As many processes, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": size}
    environments = [environment(RANK=rank, LOCAL_RANK=rank, **shared) for rank in range(size)]
    return [subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) for environ in environments]


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each wrote to stderr."""
    try:
        return [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Tensor]]]:
    """What this process alone and each process of a group of 3 has found."""
    folder = tmp_path_factory.mktemp("results")
    processes = start(3, WORK, folder)
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["work", str(folder)])
        exec(WORK, {"__name__": "work"})
    torch.set_num_threads(threads)
    errors = finish(processes)
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    return {size: [torch.load(folder / f"{size}-{rank}.pt") for rank in range(size)] for size in (1, 3)}


def test_processes_find_what_one_finds(results: dict[int, list[dict[str, Tensor]]]) -> None:
    (alone,) = results[1]
    for name in ("regions", "tile None", "tile 16", "terms None", "terms 16", "too small"):
        actual = results[3][0][name]
        assert float((actual - alone[name]).norm()) < 1e-10 * float(alone[name].norm()), name
    error = (results[3][0]["picture"] - alone["picture"]).square().mean()
    assert -10 * torch.log10(error + 1e-30) > 60


def test_every_process_finds_the_same_bits(results: dict[int, list[dict[str, Tensor]]]) -> None:
    first, *others = results[3]
    for other in others:
        for name in set(first) - {"seen None", "seen 16"}:
            assert torch.equal(first[name], other[name]), name


def test_tiles_are_shared(results: dict[int, list[dict[str, Tensor]]]) -> None:
    # 3 x 4 tiles, each seen twice; without a tile as many as processes, and one alone keeps its graph.
    assert [[rank["seen 16"].tolist() for rank in results[size]] for size in (1, 3)] == [[[24, 24]], [[8, 8]] * 3]
    assert [[rank["seen None"].tolist() for rank in results[size]] for size in (1, 3)] == [[[1, 1]], [[2, 2]] * 3]


@pytest.mark.parametrize(
    ("how", "victim", "size", "message"),
    [
        ("kill", 1, 3, "error: process 1 of 3 died or hangs"),
        ("kill", 0, 2, "error: process 0 of 2 died"),
        ("raise", 1, 2, "error: broken here"),
    ],
)
def test_a_lost_process_ends_the_others_with_one_error(how: str, victim: int, size: int, message: str) -> None:
    processes = start(size, ENDING, how, victim, 4)
    errors = finish(processes)
    ended = time.time()
    (marks,) = [line for line in errors[victim].splitlines() if line.startswith("victim")]
    assert ended - float(marks.split()[1]) < 30
    assert [process.returncode for process in processes] == [
        -9 if how == "kill" and rank == victim else 2 for rank in range(size)
    ]
    told = [line for error in errors for line in error.splitlines() if line.startswith("error:")]
    assert len(told) == 1
    assert told[0].startswith(message)


def test_torchrun_ends_the_others_with_one_error(tmp_path: Path) -> None:
    script = tmp_path / "ending.py"
    script.write_text(textwrap.dedent(ENDING))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), "kill", "1", "15"], env=environment(), capture_output=True, text=True, timeout=120
    )
    ended = time.time()
    assert done.returncode != 0
    (mark,) = [line for line in done.stderr.splitlines() if line.startswith("victim")]
    assert ended - float(mark.split()[1]) < 30
    told = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert told == ["error: process 1 of 2 died or hangs: no sign of life for 5 s"]


def test_without_a_group_everything_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.session():
        assert (distributed.world(), distributed.rank(), distributed.neighbours()) == (1, 0, 1)
        assert distributed.is_writer()
        assert distributed.share(["a", "b"]) == ["a", "b"]
        tensor = torch.ones(2)
        distributed.add_up([tensor])
        distributed.send([tensor])
        assert tensor.tolist() == [1, 1]
        assert distributed.least(0.1, torch.device("cpu")) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"])
def test_a_word_for_a_number_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for variable, value in {**given, name: "abc"}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"{name} .* received 'abc'; start with torchrun"), distributed.session():
        pass


def test_incomplete_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with (
        pytest.raises(ValueError, match="lacks RANK and MASTER_PORT; start"),
        distributed.session(),
    ):
        pass
