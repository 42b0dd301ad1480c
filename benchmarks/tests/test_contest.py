"""The contest of methods: its files and tables, and the whole of it on tiny pictures."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from neuralstyle import samples

QUALITY = Path(__file__).parents[2] / "benchmarks" / "quality"
MODULES = ("archive", "contest", "curves", "measures", "methods", "painters", "pairs", "tables")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the comparison, which are programs and no package."""
    monkeypatch.syspath_prepend(QUALITY)
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of pictures, and the pairs of them in pairs.txt."""
    folder = tmp_path / "pictures"
    for name, picture in (
        ("photos/cat", samples.photo().resize((96, 64))),
        ("paintings/swirl", samples.painting("swirl", size=96)),
        ("paintings/mosaic", samples.painting("mosaic", size=96)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}.png")
    (folder / "unused.png").write_bytes(b"")
    (tmp_path / "pairs.txt").write_text("photos/cat paintings/swirl free empty\nphotos/cat paintings/mosaic  # flat\n")
    return folder


def record(pair: str, method: str, style: float = 0.3, structure: float = 0.5, **more: Any) -> dict[str, Any]:
    scores = {"style": style, "sliced": style / 2, "structure": structure, "grid": 0.0}
    found = {"pair": pair, "method": method, "strength": 0.5, "size": 96, "kinds": [], "scores": scores}
    return found | {"evaluations": 3, "seconds": 2.0, "painted": 2.0} | more


def test_the_whole_of_it_in_processes(pictures: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    command = [sys.executable, str(QUALITY / "contest.py"), str(pictures), str(results), "--threads", "1"]
    command += ["--pairs", str(tmp_path / "pairs.txt"), "--size", "96", "--first", "1"]
    command += ["--methods", "preview:1", "risser:1", "--archive", str(tmp_path / "out" / "all.tar")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = records = [json.loads(line) for line in results.read_text().splitlines()]
    assert [each["method"] for each in records] == ["preview:1", "risser:1"]
    assert (first["kinds"], first["strength"], first["device"]) == (["free", "empty"], 0.5, "cpu")
    assert first["scores"]["style"] > 0
    assert second["evaluations"] == 3  # one at each size
    assert "Means of photographs with large empty places" in done.stdout
    with tarfile.open(tmp_path / "out" / "all-1.tar") as archive:
        names = archive.getnames()
    assert names[0] == "results.jsonl"
    assert f"results/{Path(first['picture']).stem}.jpg" in names
    assert "results/inputs/content-cat-96.jpg" in names


@pytest.fixture
def run(
    modules: dict[str, ModuleType], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """Run the program on the pair of the cat and the swirl, in this process; its exit status."""

    def in_threads(jobs: int, _: object, start: Callable[..., None], options: tuple[Any, ...]) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(jobs, initializer=start, initargs=options)

    def run(*more: str) -> int:
        command = ["contest.py", str(pictures), str(tmp_path / "results.jsonl"), "--pairs", str(tmp_path / "pairs.txt")]
        monkeypatch.setattr(sys, "argv", [*command, "--size", "96", "--threads", "1", "--first", "1", *more])
        with pytest.raises(SystemExit) as ended:
            modules["contest"].main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    monkeypatch.setattr(modules["contest"], "ProcessPoolExecutor", in_threads)
    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def test_a_run_continues_where_it_ended(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.jsonl"
    methods = ("--methods", "preview:1", "johnson:1")
    assert run(*methods) == 0
    whole = results.read_text()
    results.write_text(whole[:-40])  # the last line was cut off
    capsys.readouterr()
    assert run(*methods, "--kinds", "empty") == 0
    printed = capsys.readouterr()
    assert "1 painted, 0 failed, 0 left" in printed.err
    assert "left out 1 lines that are not whole" in printed.err
    assert "| cat x swirl | johnson:1 |" in printed.out
    assert run("--methods", "draft", "--seconds", "0") == 0
    assert "0 painted, 0 failed, 1 left" in capsys.readouterr().err


def test_what_fails_is_named_and_the_rest_goes_on(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--methods", "preview:1", "draft:1", "--label", "odd", "--option", "nonsense=1") == 1
    printed = capsys.readouterr().err
    assert "preview:1 (odd), strength 0.5 FAILED: TypeError" in printed
    assert "0 painted, 2 failed, 0 left" in printed
    assert run("--methods", "preview:1", "--option", "color=luminance") == 2
    assert "--option needs --label" in capsys.readouterr().err
    assert run("--methods", "crowsen") == 2
    assert "unknown method crowsen; known are preview, draft, standard, crowson, past" in capsys.readouterr().err
    assert run("--device", "nowhere") == 2
    assert "device 'nowhere' is not available here" in capsys.readouterr().err
    assert not (tmp_path / "results.jsonl").exists()


def test_pairs_have_kinds_and_are_collected(modules: dict[str, ModuleType], pictures: Path, tmp_path: Path) -> None:
    swirl, mosaic = pairs = modules["pairs"].list_pairs(tmp_path / "pairs.txt", pictures, pictures)
    assert (swirl.name, swirl.kinds) == ("cat x swirl", ("free", "empty"))
    assert (mosaic.name, mosaic.kinds) == ("cat x mosaic", ())
    modules["contest"].collect(pairs, pictures, tmp_path / "there")
    found = sorted(file.relative_to(tmp_path / "there").as_posix() for file in (tmp_path / "there").rglob("*.*"))
    assert found == ["paintings/mosaic.png", "paintings/swirl.png", "photos/cat.png"]


def test_sixteen_pairs_have_what_the_comparison_needs(modules: dict[str, ModuleType]) -> None:
    lines = [line.split() for line in modules["pairs"].SIXTEEN.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == len({(content, style) for content, style, *_ in lines}) == 16
    kinds = [kind for _, _, *kinds in lines for kind in kinds]
    assert kinds.count("empty") == 5
    assert {"drawing", "flat", "saturated", "dark", "face", "sky", "architecture", "mosaic", "free"} <= set(kinds)


def test_results_are_merged_with_their_pictures(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    contest = modules["contest"]
    mine, other = tmp_path / "mine.jsonl", tmp_path / "sub" / "other.jsonl"
    contest.add(mine, [record("a x b", "standard", 0.1)])
    (tmp_path / "sub" / "other" / "inputs").mkdir(parents=True)
    contest.add(other, [record("a x b", "standard", 0.9), record("a x b", "nnst")])
    for name in ("a.png", "inputs/b.jpg"):
        (other.with_suffix("") / name).write_bytes(b"picture")
    contest.merge(mine, [other])
    kept = contest.read_results(mine)
    assert [(each["method"], each["scores"]["style"]) for each in kept] == [("standard", 0.1), ("nnst", 0.3)]
    assert (mine.with_suffix("") / "a.png").exists()
    assert (mine.with_suffix("") / "inputs" / "b.jpg").exists()
    with pytest.raises(SystemExit, match="there is no file"):
        contest.merge(mine, [tmp_path / "none.jsonl"])


def test_options_are_python_values_or_text(modules: dict[str, ModuleType]) -> None:
    found = modules["contest"].options_of(["tile=64", "color=match", "result=None"])
    assert found == {"tile": 64, "color": "match", "result": None}
    with pytest.raises(SystemExit, match="NAME=VALUE"):
        modules["contest"].options_of(["tile"])


def test_archives_are_cut_into_parts(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    for number in range(6):
        Image.effect_noise((128, 128), 80).save(folder / f"{number}.png")
    (tmp_path / "results.jsonl").write_text("{}\n")
    (tmp_path / "all-7.tar").write_bytes(b"of an earlier call")
    limit = 0.08
    parts = modules["archive"].pack(tmp_path / "results.jsonl", folder, tmp_path / "all.tar", part_mib=limit)
    assert len(parts) > 1
    assert all(part.stat().st_size <= limit * 2**20 for part in parts)
    assert sorted(tmp_path.glob("*.tar")) == parts
    names = []
    for part in parts:
        with tarfile.open(part) as archive:
            names += archive.getnames()
    assert names == ["results.jsonl", *(f"results/{number}.jpg" for number in range(6))]


def test_means_are_those_of_methods_with_all_pairs(modules: dict[str, ModuleType]) -> None:
    records = [record(pair, method) for pair in ("a x b", "c x d") for method in ("standard", "nnst")]
    records += [record("a x b", "crowson", kinds=["empty"])]
    text = modules["tables"].report(records)
    assert "Means over 2 pairs." in text
    assert "Left out are methods with fewer pairs than 2: crowson 1." in text
    assert "| a x b | crowson | 0.300 |" in text  # of every picture


def test_curves_over_strength_are_compared(modules: dict[str, ModuleType]) -> None:
    records = [
        record("a x b", method, factor * structure, structure, strength=1 - structure)
        for method, factor in (("standard", 0.5), ("crowson", 1.0))
        for structure in (0.3, 0.5, 0.7)
    ]
    text = modules["tables"].report(records)
    assert "lower than crowson at 96 px on 1 of 1 pairs" in text
    assert text.count("standard against the others") == 2  # by both distances
    assert "standard is nearer than crowson by both distances on 1 of 1 pairs, in 1.00 times its seconds" in text
    for each in records:
        each["scores"]["sliced"] = 0.1 if each["method"] == "crowson" else 0.2
        each["seconds"] = 8.0 if each["method"] == "crowson" else 2.0
    text = modules["tables"].report(records)
    assert "by both distances on 0 of 1 pairs, in 0.25 times its seconds" in text
    assert "against the others" not in modules["tables"].report(records[:3])


def test_numbers_behind_methods(modules: dict[str, ModuleType]) -> None:
    split = modules["painters"].split
    assert split("crowson:80") == ("crowson", 80)
    assert split("li-wand") == ("li-wand", None)
    for wrong in ("standard:0", "standard:x"):
        with pytest.raises(ValueError, match="number of evaluations"):
            split(wrong)
