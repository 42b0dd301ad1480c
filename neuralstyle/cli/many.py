"""What the commands for many pictures share: options, processes, and the progress over all."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from neuralstyle._errors import whole_number
from neuralstyle.cli.outcome import FAILED
from neuralstyle.cli.parsing import Option
from neuralstyle.cli.printing import is_for_programs, note, say, say_json, warn
from neuralstyle.many.shards import parse_shard

if TYPE_CHECKING:
    from neuralstyle.many.executors import Executor
    from neuralstyle.many.tasks import Results

JOBS = Option("--jobs", "work in N processes, which share the threads", int, "N", default=1, everyday=True)
THREADS = Option(
    "--threads", "compute with N threads in each process; the last bits depend on it", int, "N", shown="shared out"
)
SHARD = Option(
    "--shard", "take the K-th of N shares of the pictures; slurm takes both from a Slurm array", metavar="K/N"
)
SKIP_EXISTING = Option("--skip-existing", "leave results that these settings made", flag=True, everyday=True)
MANY = (JOBS, THREADS, SHARD)


def shard_of(options: argparse.Namespace) -> tuple[int, int]:
    """The share of the pictures that this call takes."""
    return (1, 1) if options.shard is None else parse_shard(options.shard)


@contextmanager
def processes(options: argparse.Namespace) -> Iterator[Executor | None]:
    """The processes of ``--jobs``, or None for this one."""
    jobs = whole_number("--jobs", options.jobs, 1)
    if options.threads is not None:
        whole_number("--threads", options.threads, 1)
    if jobs == 1 and options.threads is None:
        yield None
        return
    from neuralstyle.many.processes import Processes

    with Processes(jobs, threads=options.threads) as made:
        yield made


def follow(results: Results, options: argparse.Namespace) -> int:
    """Show the progress over all pictures, name what failed, and return the exit code."""
    from tqdm.auto import tqdm

    from neuralstyle.painting.forecast import Pace, show_left

    started, total = time.monotonic(), len(results)
    counts = {"painted": 0, "skipped": 0, "failed": 0}
    failed: dict[str, str] = {}
    pace = Pace(starts=options.jobs)  # each process has a first picture
    try:
        with tqdm(total=total, unit="picture", disable=options.quiet, smoothing=0) as bar:
            for result in results:
                counts[result.status] += 1
                if result.status == "painted":  # the others take no time
                    pace.add(result.seconds - (0 if pace.is_warm else result.start))
                show_left(bar, pace.left((total - sum(counts.values())) / options.jobs))
                bar.update()
                bar.set_postfix_str(result.output.name, refresh=False)
                if result.lost is not None:
                    warn(f"{result.picture}: {result.lost}; it was tried again")
                if result.status == "failed":
                    one = str(result.picture)
                    failed[str(result.output) if one in failed else one] = str(result.reason)
                    named = str(result.picture) in str(result.reason)
                    note(f"failed: {result.reason}" if named else f"failed: {result.picture}: {result.reason}")
    except KeyboardInterrupt as error:
        done = sum(counts.values())
        error.args = (
            f"stopped; {done} of {total} pictures are done, and the same command with --skip-existing goes on",
        )
        raise
    seconds = time.monotonic() - started
    code = FAILED if failed else 0
    say(f"{options.output}: {_counted(counts)}, {seconds:.0f} s", options)
    if is_for_programs(options):
        facts = {"reason": "finished", "exit_code": code, "output": options.output, **counts, "failed": failed}
        say_json({**facts, "seconds": round(seconds, 3)})
    return code


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count or status == "painted")
