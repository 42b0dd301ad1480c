"""Damaged files, wrong calls, killed processes: tries many and counts what happens.

    python benchmarks/faults                                  # all kinds, each in its number: about two hours
    python benchmarks/faults --seconds 60 --jobs 2            # a sample
    python benchmarks/faults --kinds 'picture.*' --count 500 --seed 1000
    python benchmarks/faults --kind picture.png --seed 123    # one input, with its traceback
    python benchmarks/faults named                            # inputs with names, through the command line
    python benchmarks/faults --table docs/reliability.md      # puts the table between the marks of that page

An input follows from its kind and seed alone. It is tried in a folder of its own by one of several worker processes. An
input may be opened or refused. It is a failure if an exception has another class than the documented, if its message
has several lines, is longer than 320 characters or does not name the file, if a file that was there changes, if a
result is wrong, if it takes more than 10 s of processor time (60 s of the clock), or 1 GiB over the start of the
worker. The exit code is 1 after any failure. docs/reliability.md says what is promised.

In kinds "signal.*" the signal comes at a time from the seed, but how far the process is then depends on the machine.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from pathlib import Path

import campaign
import trial
from kinds import HIDDEN, KINDS

BEGIN, END = "<!-- campaign -->", "<!-- end of the campaign -->"


def choose(patterns: list[str] | None) -> dict[str, trial.Kind]:
    """The kinds that match any of the patterns."""
    kinds = KINDS | HIDDEN if patterns else KINDS
    chosen = {name: kind for name, kind in kinds.items() if any(fnmatch.fnmatch(name, p) for p in patterns or "*")}
    if not chosen:
        sys.exit(f"no kind is named {' or '.join(patterns or ())}; there are {', '.join(KINDS)}")
    return chosen


def repeat(name: str, seed: int) -> int:
    """Try one input in this process, and print how it was made and what happened."""
    import worker

    started = worker.prepare()
    (kind,) = choose([name]).values()
    answer = trial.run(kind, name, seed, started, show=True, say=print)
    print(f"{answer.outcome}: {answer.text}\n{answer.seconds:.2f} s, {answer.peak:.0f} MiB over the start")
    return int(answer.outcome in trial.FAULTS)


def write_table(file: Path, counts: dict[str, campaign.Count], command: str) -> None:
    """Write the table to a file: between its marks, where it has them, else instead of all."""
    import platform

    import torch

    import neuralstyle

    table = (
        f"`{command}`, neuralstyle {neuralstyle.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}:\n\n{campaign.markdown_table(counts)}"
    )
    before, after = "", ""
    if file.exists():
        text = file.read_text(encoding="utf-8")
        if BEGIN in text and END in text:
            before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    file.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after or chr(10)}", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("campaign", "named"), default="campaign", help="what to do")
    parser.add_argument("--kinds", nargs="+", metavar="PATTERN", help="of these kinds only (default: all)")
    parser.add_argument("--count", type=int, metavar="N", help="inputs of each kind (default: the kind's number)")
    parser.add_argument("--seconds", type=float, metavar="S", help="begin no input after this time")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed, or that of --kind")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument("--table", type=Path, metavar="FILE.md", help="write the table there too")
    parser.add_argument("--kind", metavar="NAME", help="try one input of this kind, and print its traceback")
    parser.add_argument("--verbose", action="store_true", help="print every failure, not the first of each sort")
    parser.add_argument("--list", action="store_true", help="list the kinds")
    return parser.parse_args()


def main() -> int:
    options = parse()
    if options.list:
        print("\n".join(f"{name:20} {kind.count}" for name, kind in KINDS.items()))
        return 0
    if options.kind is not None:
        return repeat(options.kind, options.seed)
    if options.what == "named":
        import named

        return named.main()
    counts = campaign.run(
        choose(options.kinds),
        options.seed,
        options.count,
        options.seconds,
        options.jobs,
        lambda text: print(text, file=sys.stderr, flush=True),
        options.verbose,
    )
    print(campaign.text_table(counts))
    print("\n".join(campaign.failures(counts)))
    if options.table is not None:
        write_table(options.table, counts, " ".join(["python benchmarks/faults", *sys.argv[1:]]))
    return int(any(count.failed for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
