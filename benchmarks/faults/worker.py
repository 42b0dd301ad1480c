"""A process that tries inputs: it reads lines with a kind and a seed, and answers each with two lines of JSON: how
the input was made, and how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import trial

ADDRESS_SPACE = 8 * 2**30  # bytes over the start: spares the machine; a kind's own limit is far below


def limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESS_SPACE, resource.RLIM_INFINITY))


def prepare() -> float:
    """Import what all inputs need, and return the memory now, in MiB."""
    import torch

    import neuralstyle.feedforward
    import neuralstyle.metrics  # noqa: F401

    torch.set_num_threads(1)
    limit_memory()
    trial.forget_peak()
    return trial.peak_memory()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries print would mix with the answers
        os.dup2(silence, stream)
    from kinds import HIDDEN, KINDS

    kinds = KINDS | HIDDEN
    started = prepare()

    def say(answer: object) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say("ready")
    for line in sys.stdin:
        name, seed = line.split()
        say(asdict(trial.run(kinds[name], name, int(seed), started, say=say)))


if __name__ == "__main__":
    main()
