"""One input: made from its kind and seed alone, tried in a folder of its own, and judged."""

from __future__ import annotations

import contextlib
import hashlib
import linecache
import os
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

MIB = 2**20
LONGEST_MESSAGE = 320  # characters, without the names of folders
DOCUMENTED = (ValueError, TypeError, OSError, ImportError, FloatingPointError)

OPENED, REFUSED = "opened", "refused"
FAULTS = ("traceback", "unclear", "wrong", "changed", "hang", "crash", "memory")
"""What must not happen.

traceback: an exception of another class than the documented. unclear: the message has several lines, is too long, does
not name the file or is another library's. wrong: a result that is not the right one. changed: another file of the
folder changed. hang, crash: the process had to be ended, or ended. memory: more than the kind allows.
"""


@dataclass(frozen=True)
class Case:
    """An input.

    Args:
        value: what is tried.
        note: how it was made, in words.
        name: a text that every error has to show, such as the name of the file.
        whole: whether nothing is wrong with it, so that it has to be opened.

    """

    value: Any
    note: str
    name: str = ""
    whole: bool = False


class FaultError(Exception):
    """Found by the attempt itself: one of ``FAULTS``, and what happened."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Args:
        make: from a generator of random numbers and an empty folder to an input.
        attempt: tries it; returns ``OPENED`` or ``REFUSED``, or raises.
        count: inputs of a whole campaign.
        share: inputs of each round of a campaign that is bounded by time.
        limit: seconds of the processor's time.
        memory: MiB over the start of the worker.
        documented: classes of exceptions that the attempt may raise.
        own_words: whether each error has to be raised by neuralstyle itself.
        may_change: the names of files that may be replaced.

    """

    make: Callable[[Random, Path], Case]
    attempt: Callable[[Case], str]
    count: int
    share: int = 1
    limit: float = 10
    memory: int = 1024
    documented: tuple[type[BaseException], ...] = DOCUMENTED
    own_words: bool = False
    may_change: Callable[[Case], tuple[str, ...]] = lambda case: ()


@dataclass(frozen=True)
class Answer:
    """How an input ended."""

    outcome: str
    text: str
    seconds: float = 0.0
    peak: float = 0.0  # MiB over the start of the worker


def make(kind: Kind, name: str, seed: int, folder: Path) -> Case:
    """Make the input; the same kind and seed make the same one, byte for byte."""
    import torch

    torch.manual_seed(seed)
    return kind.make(Random(f"{name} {seed}"), folder)


def run(
    kind: Kind,
    name: str,
    seed: int,
    started: float,
    show: bool = False,
    say: Callable[[str], object] = lambda note: None,
) -> Answer:
    """Make an input, try it and judge what happened.

    Args:
        kind: its kind.
        name: the kind's name.
        seed: the seed.
        started: MiB that the process had at its start.
        show: print the traceback.
        say: called with how the input was made, before it is tried.

    """
    home = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        os.chdir(folder)
        case = make(kind, name, seed, folder)
        say(case.note)
        before = hashes(folder)
        forget_peak()
        begin = processor_seconds()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome, text = _attempt(kind, case, folder, show)
        seconds, peak = processor_seconds() - begin, peak_memory() - started
        text = f"{case.note}: {text}"
        if outcome in (OPENED, REFUSED):
            before = {path: digest for path, digest in before.items() if path not in kind.may_change(case)}
            changed = changes(before, hashes(folder))
            if changed:
                outcome, text = "changed", f"{case.note}: {changed}"
            elif outcome == REFUSED and case.whole:
                outcome = "wrong"
            elif seconds > kind.limit:
                outcome = "hang"
            elif peak > kind.memory:
                outcome = "memory"
        return Answer(outcome, text, seconds, peak)
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)


def _attempt(kind: Kind, case: Case, folder: Path, show: bool) -> tuple[str, str]:
    try:
        return kind.attempt(case), ""
    except FaultError as fault:
        return fault.outcome, str(fault)
    except BaseException as error:
        if show:
            traceback.print_exc()
        shown = f"{type(error).__name__}: {error}"
        if not isinstance(error, kind.documented):
            return "traceback", f"{shown} ({_where(error)})"
        unclear = unclear_because(str(error).replace(str(folder), ""), case.name)
        if unclear is None and kind.own_words and not _is_own(error):
            unclear = f"the message is not neuralstyle's ({_where(error)})"
        return (REFUSED, shown) if unclear is None else ("unclear", f"{unclear}: {shown}")


def unclear_because(message: str, name: str = "") -> str | None:
    """What is wrong with the message of an error, or None."""
    if not message.strip():
        return "no message"
    if len(message.strip().splitlines()) > 1:
        return "several lines"
    said = message.partition("known are ")[0].partition("(choose from ")[0]  # a list of what there is may be long
    if len(said) > LONGEST_MESSAGE:
        return f"{len(message)} characters"
    if name not in message:
        return f"does not name {name}"
    return None


def _is_own(error: BaseException) -> bool:
    """Whether a ``raise`` of neuralstyle raised it, or the system or Python's call of a function did."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    if isinstance(error, OSError) and error.errno is not None:
        return True
    if "os.PathLike object" in str(error):  # Python's, and says it all
        return True
    if Path(last.filename).parent == Path(__file__).parent:  # the call itself: an argument too many
        return True
    is_raise = linecache.getline(last.filename, last.lineno or 0).strip().startswith("raise")
    return is_raise and "neuralstyle" in Path(last.filename).parts


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "neuralstyle" in Path(frame.filename).parts]
    frame = (ours or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def hashes(folder: Path) -> dict[str, str]:
    """Digests of all files of a folder, by their names; folders and what is no file have a word."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def changes(before: dict[str, str], after: dict[str, str]) -> str:
    """The first file that was there and is gone or another, in words; or nothing."""
    for name, digest in before.items():
        if after.get(name) != digest:
            return f"{name} {'changed' if name in after else 'is gone'}"
    return ""


def processor_seconds() -> float:
    """The processor's time of this process, and of those that it started and that ended."""
    return sum(os.times()[:4])


def forget_peak() -> None:
    """Make the peak of the memory the memory now, where the system can."""
    with contextlib.suppress(OSError):  # the peak is else that of all inputs of the process so far
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> float:
    """The peak of the resident memory, in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (MIB if sys.platform == "darwin" else 1024)
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
