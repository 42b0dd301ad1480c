"""One program in a process of its own, which answers a request in JSON on each line with one.

    python worker.py pastiche FOLDER 256

Started by the benchmark. The first line says that the first value and gradient are there, or why they cannot be.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from contenders import Contender, Ours, Pastiche, Unavailable, contender, content_file, style_file
from report import NEURALSTYLE, PASTICHE, PYSTICHE


def main() -> None:
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if name == "pictures":
        answer(answers, draw_pictures(folder, size))
        return
    try:
        program = contender(name, folder, size)
        first = program.step()
    except Unavailable as reason:
        answer(answers, {"unavailable": str(reason)})
        return
    answer(answers, {"value": first, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        request = json.loads(line)
        answer(answers, obey(program, request) | {"peak": peak_memory()})


def obey(program: Contender, request: dict[str, Any]) -> dict[str, Any]:
    order = request["order"]
    if order == "place":
        program.place(torch.from_numpy(np.load(request["file"])))
        return {}
    if order == "step":
        started = time.perf_counter()
        value = program.step()
        return {"seconds": time.perf_counter() - started, "value": value}
    if order == "gradient":
        np.save(request["file"], program.gradient().contiguous().numpy())
        return {}
    if order == "paint":
        assert isinstance(program, Pastiche)
        return program.paint(request["iterations"])
    assert isinstance(program, Ours)
    if order == "operations":
        return {"operations": program.operations()}
    descend = program.descend if order == "descend" else program.stylize
    found, picture = descend(request["goals"], request["most"])
    np.save(request["file"], picture.numpy())
    return found


def draw_pictures(folder: Path, size: int) -> dict[str, Any]:
    """The package's samples as files of 8 bits, and a point between content and noise to evaluate at."""
    from neuralstyle import load_image, samples, save_image
    from neuralstyle._version import full_version

    content = load_image(samples.photo(), size)
    height, width = content.shape[2:]
    save_image(content, content_file(folder, size))
    # As many pixels as the content has: what pastiche makes of any style.
    side = round(math.sqrt(height * width))
    save_image(load_image(samples.painting("swirl", size=max(side, 512)), side), style_file(folder, size))
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    np.save(folder / f"point-{size}.npy", (0.5 * content + 0.5 * noise).numpy())
    known = {NEURALSTYLE: full_version(), **versions(PASTICHE, PYSTICHE, "torch")}
    return {"height": height, "width": width, "versions": known}


def versions(*names: str) -> dict[str, str]:
    installed = {found.name for found in distributions()}
    return {name: version(name) for name in names if name in installed}


def peak_memory() -> int:
    """The most memory that this process has held, in bytes: interpreter, libraries, weights and all."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def answer(answers: TextIO, reply: dict[str, Any]) -> None:
    print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
