"""Run the steps of the Dockerfile without docker, in temporary folders.

    python release/try_dockerfile.py

Each stage is a folder that stands for /, and absolute paths lead into it. Its /usr/local is a fresh virtual
environment, and its PATH has few programs besides; a compiler only where apt-get installs one. As root the commands are
run by two other users: one stands for the image's root, one for the user of USER. What cannot be run is printed with
the reason. At last the entry point has to help, to tell about itself and to paint. The exit code is 1 once a step
fails. Needs Linux, git, what apt-get would install, and a Python of the image's version; only what is committed is
built.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILDER, USER = 65533, 65534  # on this system: for the image's root, and for the user that USER names
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

# The programs that every stage has, besides Python's: those of a slim image that its commands may need.
PROGRAMS = ("cat", "chmod", "cp", "env", "id", "ls", "mkdir", "mv", "rm", "sh", "uname")
# The programs that a package of apt-get brings.
PACKAGES = {"gcc": ("gcc", "as", "ld"), "git": ("git",), "libc6-dev": ()}
COMPILERS = ("gcc", "clang", "cc", "c99", "tcc")
# The variables of this system that a stage sees: how packages are reached, and how many threads there are.
PASSED = re.compile(r"PIP_\w+|(https?|no)_proxy|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|OMP_NUM_THREADS", re.IGNORECASE)

APT_GET = '#!/bin/sh\necho "apt-get $*: left out"\n'
USERADD = '#!/bin/sh\nfor name; do :; done\nmkdir -p "{root}/home/$name"\n'


class StepError(Exception):
    """A step of the Dockerfile cannot be run, or failed."""


@dataclass
class Stage:
    """What the instructions of a stage have come to so far."""

    root: Path
    environment: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Where a path of the image lies on this system."""
        return self.root / name.lstrip("/") if name.startswith("/") else self.path(self.folder) / name


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction of a Dockerfile and what stands after it."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def inside(command: str, root: Path) -> str:
    """Lead the absolute paths in a command into the folder of its stage."""
    return re.sub(r"(^|[\s=\"'(])/(?!(?:dev|proc|sys)\b)(?=\w|$|\s)", lambda found: f"{found[1]}{root}/", command)


class Trial:
    """The stages of a Dockerfile, run one instruction after another."""

    def __init__(self, context: Path, work: Path, given: dict[str, str]) -> None:
        self.context, self.work, self.given = context, work, given
        self.stages: dict[str, Stage] = {}

    @property
    def stage(self) -> Stage:
        if not self.stages:
            raise StepError("the first instruction is not FROM")
        return list(self.stages.values())[-1]

    def step(self, word: str, rest: str) -> None:
        print(f"{word} {rest}", flush=True)
        steps = {
            "FROM": self.begin,
            "ARG": self.argument,
            "ENV": self.variables,
            "COPY": self.copy,
            "RUN": self.run,
            "USER": self.change_user,
            "WORKDIR": self.change_folder,
            "ENTRYPOINT": self.entrypoint,
            "CMD": self.command,
        }
        if word not in steps:
            raise StepError(f"{word} is an instruction that this script does not know; teach it")
        steps[word](rest)

    def begin(self, rest: str) -> None:
        found = re.fullmatch(r"python:(\d+\.\d+)-slim(?:\s+AS\s+([\w-]+))?", rest, re.IGNORECASE)
        if not found:
            raise StepError(f"FROM has to name python:VERSION-slim, and names {rest}")
        python = find_python(found[1])
        say_left_out(f"no image can be had; {python} stands in for Python, and {', '.join(PROGRAMS)} for the rest")
        root = self.work / (found[2] or f"stage{len(self.stages)}")
        for name in ("bin", "home", "root", "tmp", "usr"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        offer(root, PROGRAMS)
        for name, text in (("apt-get", APT_GET), ("useradd", USERADD.format(root=root))):
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)
        give(root, BUILDER)
        environment = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
        environment |= {"PATH": f"{root}/usr/local/bin:{root}/bin", "HOME": str(root / "root"), "LANG": "C.UTF-8"}
        environment["TMPDIR"] = str(root / "tmp")
        self.stages[root.name] = Stage(root, environment)
        self.install(python)

    def install(self, python: Path) -> None:
        self.execute([str(python), "-m", "venv", str(self.stage.root / "usr/local")])

    def argument(self, rest: str) -> None:
        ((name, value),) = pairs(rest)
        self.stage.arguments[name] = self.given.get(name, value)

    def variables(self, rest: str) -> None:
        for name, value in pairs(rest):
            self.stage.environment[name] = inside(value, self.stage.root)

    def copy(self, rest: str) -> None:
        *options, target = shlex.split(rest)
        before = self.context
        if options[0].startswith("--"):
            name = options.pop(0).removeprefix("--from=")
            if name not in self.stages:
                raise StepError(f"there is no stage {name}")
            before = self.stages[name].root
        for source in (before / name.lstrip("/") for name in options):
            place = self.stage.path(target)
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
            elif source.is_file():
                place = place / source.name if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)
            else:
                raise StepError(f"there is no {source.relative_to(before)} to copy")
            give(place, BUILDER)

    def run(self, rest: str) -> None:
        for install in re.findall(r"apt-get install ([^&;|]*)", rest):
            packages = [word for word in shlex.split(install) if not word.startswith("-")]
            unknown = [name for name in packages if name not in PACKAGES]
            if unknown:
                raise StepError(f"what does the package {unknown[0]} bring? Write it into PACKAGES of this script")
            programs = [program for name in packages for program in PACKAGES[name]]
            offer(self.stage.root, programs)
            say_left_out(f"apt-get installs nothing; this system's {', '.join(programs)} stand in")
        if "useradd" in rest:
            stand_in = f"the user with the number {USER}" if IS_ROOT else "whoever runs this script"
            say_left_out(f"useradd makes a home and no user; {stand_in} stands in")
        self.execute(["sh", "-euc", inside(rest, self.stage.root)], self.stage.arguments)

    def change_user(self, rest: str) -> None:
        home = self.stage.root / "home" / rest
        if not home.is_dir():
            raise StepError(f"no useradd has made the user {rest}")
        give(home, USER)
        self.stage.user = rest
        self.stage.environment["HOME"] = str(home)

    def change_folder(self, rest: str) -> None:
        self.stage.folder = rest if rest.startswith("/") else f"{self.stage.folder}/{rest}"
        self.stage.path(rest).mkdir(parents=True, exist_ok=True)
        # As a folder of the user's that is mounted there: docker run -v "$PWD:/pictures".
        give(self.stage.path(rest), BUILDER if self.stage.user == "root" else USER)

    def entrypoint(self, rest: str) -> None:
        self.stage.entrypoint = json.loads(rest)

    def command(self, rest: str) -> None:
        self.stage.command = json.loads(rest)

    def execute(self, words: Sequence[str], more: dict[str, str] | None = None) -> str:
        """Run a program in the last stage as its user. Returns what it printed."""
        stage = self.stage
        path = shutil.which(words[0], path=stage.environment["PATH"])
        if path is None:
            raise StepError(f"{words[0]} is not in the image")
        number = BUILDER if stage.user == "root" else USER
        done = subprocess.run(
            [path, *words[1:]],
            cwd=stage.path(stage.folder),
            env=stage.environment | (more or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **as_user(number),
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise StepError(f"{shlex.join(words)}\nfailed with status {done.returncode}:\n{last}")
        return done.stdout

    def enter(self, *words: str) -> str:
        """Run the entry point of the last stage with arguments, or without any with those of CMD."""
        given = list(words) or self.stage.command
        print(f"docker run neuralstyle {shlex.join(words)}", flush=True)
        return self.execute([inside(word, self.stage.root) for word in [*self.stage.entrypoint, *given]])


def as_user(number: int) -> dict[str, int | list[int]]:
    """The options of subprocess.run for another user, which only root can become."""
    return {"user": number, "group": number, "extra_groups": []} if IS_ROOT else {}


def give(path: Path, number: int) -> None:
    """Make a folder and all in it a user's."""
    if IS_ROOT:
        for place in (path, *path.rglob("*")):
            os.chown(place, number, number, follow_symlinks=False)


def offer(root: Path, programs: Sequence[str]) -> None:
    """Link programs of this system into a stage."""
    for name in programs:
        program = shutil.which(name)
        if program is None:
            raise StepError(f"this system has no {name} that could stand in")
        link = root / "bin" / name
        if not link.is_symlink():
            link.symlink_to(program)


def pairs(text: str) -> list[tuple[str, str]]:
    """The names and values of ARG or ENV."""
    return [(name, value) for name, _, value in (word.partition("=") for word in shlex.split(text))]


def find_python(version: str) -> Path:
    """Find a Python of a version that the image's users, too, can run."""
    base = Path(sys.base_prefix, "bin")
    for folder in (base, Path("/usr/local/bin"), Path("/usr/bin")):
        python = folder / f"python{version}"
        try:
            done = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, **as_user(USER))
        except OSError:
            continue
        if done.returncode == 0:
            return python
    raise StepError(f"there is no Python {version} with venv that every user of this system can run")


def say_left_out(reason: str) -> None:
    print(f"    left out: {reason}", flush=True)


def make_context(folder: Path) -> None:
    """Make what docker build would be given: what is committed, less what .dockerignore names."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    for pattern in (folder / ".dockerignore").read_text(encoding="utf-8").split():
        for path in list(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def examine(trial: Trial) -> None:
    """See whether the image does its work."""
    stage = trial.stage
    expect(stage.user != "root", "the image runs as root")
    found = [name for name in COMPILERS if shutil.which(name, path=stage.environment["PATH"])]
    expect(not found, f"the image has a compiler: {found}")
    print(f"none of {', '.join(COMPILERS)} is on its PATH")
    expect("usage: neuralstyle" in trial.enter(), "without arguments there is no help")
    print(trial.enter("info"))
    facts = json.loads(trial.enter("info", "--json"))
    expect(facts["kernel"]["runs"], "the fast convolutions do not run")
    expect(facts["weights"]["vgg19"]["intact"], "the weights are not there")
    trial.enter("demo", "-o", "demo.png", "--size", "64", "--schedule", "preview", "--quiet")
    painted = stage.path(stage.folder) / "demo.png"
    expect(painted.stat().st_size > 0, "the demo left no picture")
    print(f"demo.png: {painted.stat().st_size} bytes, of the user with the number {painted.stat().st_uid}")


def expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise StepError(otherwise)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME=VALUE", help="the value of an ARG, as of docker build"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dockerfile-") as name:
        work = Path(name).resolve()
        work.chmod(0o755)
        try:
            make_context(work / "context")
            trial = Trial(work / "context", work, dict(pairs(shlex.join(options.build_arg))))
            for word, rest in instructions((work / "context" / "Dockerfile").read_text(encoding="utf-8")):
                trial.step(word, rest)
            examine(trial)
        except StepError as error:
            print(f"failed: {error}")
            return 1
    print("all steps of the Dockerfile passed, but for what was left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
