"""Many pictures: their names, shards and options, before anything is painted."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from doubles import painting

from neuralstyle import samples
from neuralstyle.many import Form, stylize_files
from neuralstyle.many.batch import list_tasks, style_groups
from neuralstyle.many.naming import name_results
from neuralstyle.many.settings import Settings
from neuralstyle.many.shards import parse_shard, share


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in/a.jpg", "in/b.png", "in/deep/a.jpg", "other/a.jpg", "style.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        samples.photo().resize((48, 32)).save(tmp_path / name)
    return tmp_path


def names(folder: Path, *pictures: str, output: str = "out", **options: Any) -> list[str]:
    found = name_results([folder / picture for picture in pictures], folder / output, [""], **options)
    return sorted(result.relative_to(folder).as_posix() for result in found[""].values())


def test_results_have_the_names_of_their_pictures(folder: Path) -> None:
    assert names(folder, "in") == ["out/a.jpg", "out/b.png"]
    assert names(folder, "in", recursive=True) == ["out/a.jpg", "out/b.png", "out/deep/a.jpg"]
    assert names(folder, "in", "in/a.jpg", suffix=".webp") == ["out/a.webp", "out/b.webp"]
    assert names(folder, "in/deep/a.jpg", "in/b.png") == ["out/a.jpg", "out/b.png"]


def test_results_below_the_pictures_are_not_painted_again(folder: Path) -> None:
    (folder / "in/out").mkdir()
    samples.photo().save(folder / "in/out/a.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert names(folder, "in", output="in/out", recursive=True) == [
            *("in/out/a.jpg", "in/out/b.png", "in/out/deep/a.jpg"),
        ]


@pytest.mark.parametrize(
    ("pictures", "output", "message"),
    [
        (["in/a.jpg", "other/a.jpg"], "out", "would both become .*a.jpg; paint them into two folders"),
        (["in"], "in", "would replace .*a.jpg, and an input is never replaced"),
        (["in"], "out.png", "out.png is the name of a picture, and many are painted"),
        (["gone"], "out", "there is no file or folder"),
        ([], "out", "no picture was given"),
    ],
)
def test_names_that_cannot_be_are_refused(folder: Path, pictures: list[str], output: str, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        names(folder, *pictures, output=output)


def test_a_painting_is_never_replaced(folder: Path) -> None:
    with pytest.raises(ValueError, match="would replace"):
        name_results(folder / "in", folder / "other", [""], [folder / "other/a.jpg"])


def test_each_style_has_a_folder_and_a_list_in_a_list_is_a_blend(folder: Path) -> None:
    style, other = folder / "style.png", folder / "in/b.png"
    assert list(style_groups(style)) == [""]
    assert list(style_groups([style, other])) == ["style", "b"]
    assert [len(group) for group in style_groups([[style, other], style]).values()] == [2, 1]
    with pytest.raises(ValueError, match="two styles are called style"):
        style_groups([style, str(style)])
    with pytest.raises(TypeError, match="paintings of many pictures are files"):
        style_groups(painting())


def test_shards_share_the_pictures_out() -> None:
    shares = [share(range(10), (number, 3)) for number in (1, 2, 3)]
    assert sorted(item for shared in shares for item in shared) == list(range(10))
    assert parse_shard("3/3") == (3, 3)
    slurm = {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "8"}
    assert parse_shard("slurm", {**slurm, "SLURM_ARRAY_TASK_COUNT": "4"}) == (3, 4)
    with pytest.raises(ValueError, match="not evenly spaced"):
        parse_shard("slurm", {**slurm, "SLURM_ARRAY_TASK_COUNT": "3"})
    with pytest.raises(ValueError, match="SLURM_ARRAY_TASK_ID is not set"):
        parse_shard("slurm", {})


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/4", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a shard is K/N"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sise": 3}, TypeError, "unknown option 'sise': did you mean 'size'"),
        ({"size": 3}, ValueError, "size is a whole number of at least 16"),
        ({"state": "a.safetensors"}, TypeError, "a state is of one picture"),
        ({"schedule": "drft"}, ValueError, "unknown schedule 'drft'"),
        ({"executor": 3}, TypeError, "an executor has a method submit"),
        ({"form": Form(suffix=".gif")}, ValueError, "unknown suffix '.gif'"),
        ({"form": Form(depth=16)}, ValueError, "a result .jpg: this format has 8 bits"),
        ({"form": Form(quality=101)}, ValueError, "quality is a whole number from 1 to 100"),
    ],
)
def test_what_is_wrong_is_said_before_the_work(
    folder: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        stylize_files(folder / "in", folder / "style.png", folder / "out", **options)
    assert not (folder / "out").exists()


def test_tasks_are_small_and_can_be_pickled(folder: Path) -> None:
    import pickle

    def describe(_: object) -> Settings:
        return Settings("stylize", {"size": 64})

    tasks = list_tasks(
        folder / "in", folder / "style.png", folder / "out", dict, describe, skip_existing=False, form=Form()
    )
    assert len(tasks) == 2
    assert all(len(pickle.dumps(task)) < 2000 for task in tasks)
