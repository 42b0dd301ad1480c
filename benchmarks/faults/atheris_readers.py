"""Search for inputs of the readers that raise what they must not, led by the lines that are reached.

    pip install atheris                                     # in an environment of its own; for Linux
    python benchmarks/faults/atheris_readers.py picture.png FOLDER -max_total_time=300

The first argument is a kind that reads a file: "picture.*", "model.*" or "log.*". FOLDER keeps the inputs that reached
something new; it is filled with whole and damaged files of the kind. All other arguments are libFuzzer's. Only
neuralstyle's own lines count, since the decoders are compiled: for damage to their formats, the kinds of
``python benchmarks/faults`` do as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["neuralstyle"]):
    import neuralstyle.callbacks
    import neuralstyle.feedforward  # noqa: F401

from reading import KINDS
from trial import Case, unclear_because

SEEDS = 50  # files to start from


def main() -> None:
    name, corpus = sys.argv[1], Path(sys.argv[2])
    kind = KINDS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        case = Case(None, "")
        for seed in range(SEEDS):
            case = kind.make(Random(f"{name} {seed}"), Path(folder))
            file = case.value[0] if isinstance(case.value, tuple) else case.value
            (corpus / f"{seed:03}").write_bytes(file.read_bytes())
        if name.startswith("log."):
            case = Case((file, False), "", case.name)  # without a plot

        def test(data: bytes) -> None:
            file.write_bytes(data)
            try:
                kind.attempt(case)
            except kind.documented as error:
                unclear = unclear_because(str(error).replace(folder, ""), case.name)
                if unclear is not None:
                    raise RuntimeError(unclear) from error

        warnings.simplefilter("ignore")
        atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], test)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.argv[2:3] = [str(Path(place).resolve()) for place in sys.argv[2:3]]
    main()
