"""Paths are checked against each other before the work; files appear completely or not at all."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neuralstyle.files import NumberedFiles, Read, Write, check_paths, check_target, elsewhere, holding, writing
from neuralstyle.files.writing import is_temporary


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_appears_when_it_is_complete(folder: Path) -> None:
    with writing("a.txt") as temporary:
        temporary.write_text("new")
        assert temporary.name == "a.txt"
        assert not Path("a.txt").exists()
        assert temporary.parent.stat().st_mode & 0o077 == 0  # nobody else can enter or plant a link
        assert is_temporary(temporary.parent)
    assert Path("a.txt").read_text() == "new"
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("path", [".", "..", "/", ""])
def test_a_folder_is_not_written_to(folder: Path, path: str) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        write(path, "text")


def test_two_writers_of_one_file_do_not_meet(folder: Path) -> None:
    with writing("a.txt") as one, writing("a.txt") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert Path("a.txt").read_text() == "one"  # the last to end


def write(name: str, text: str, failure: BaseException | None = None, *, overwrite: bool = True) -> None:
    with writing(name, overwrite=overwrite) as temporary:
        temporary.write_text(text)
        if failure is not None:
            raise failure


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_what_was_there(folder: Path, overwrite: bool) -> None:
    Path("a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError):
        write("a.txt", "half", ZeroDivisionError(), overwrite=overwrite)
    assert Path("a.txt").read_text() == "old"
    assert len(list(folder.iterdir())) == 1


def test_a_file_that_has_appeared_is_kept(folder: Path) -> None:
    Path("a.txt").write_text("somebody else's")
    with pytest.raises(FileExistsError, match=r"a.txt exists, it has appeared meanwhile"):
        write("a.txt", "new", overwrite=False)
    assert Path("a.txt").read_text() == "somebody else's"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_names_the_file_and_the_bytes(folder: Path, number: int) -> None:
    message = r"a.txt cannot be written: no more space after 5 bytes, and [\d,]+ bytes are free"
    with pytest.raises(OSError, match=message):
        write("a.txt", "12345", OSError(number, os.strerror(number)))
    assert list(folder.iterdir()) == []


def test_a_writer_that_names_no_file_is_named(folder: Path) -> None:
    with pytest.raises(OSError, match=r"a.txt cannot be written \(encoder error -2\); the disk may be full"):
        write("a.txt", "12345", OSError("encoder error -2"))


def test_leftovers_of_dead_processes_go_and_nothing_else(folder: Path) -> None:
    with writing("run") as temporary:
        name = temporary.parent.name
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = name.replace(f"-{os.getpid()}-", f"-{int(ended.stdout)}-")
    kept = [
        ".run-notes.tmp",
        ".run-b-0123abcd.tmp",
        name,  # of this process, which may still write
        dead.replace(dead[13:25], "0" * 12),  # of another file
        dead.replace(dead[26:34], "0" * 8),  # of another machine
        dead + ".tmp",
    ]
    for each in (*kept, dead):
        (folder / each).mkdir()
        (folder / each / "run").write_text("half")
    with writing("run"):
        pass
    assert sorted(path.name for path in folder.iterdir()) == sorted([*kept, "run"])


def test_a_leftover_that_is_a_link_is_not_followed(folder: Path) -> None:
    (folder / "precious").mkdir()
    (folder / "precious" / "file").write_text("kept")
    with writing("run") as temporary:
        name = re.sub(rf"-{os.getpid()}-", "-999999999-", temporary.parent.name)
    (folder / name).symlink_to(folder / "precious")
    with writing("run"):
        pass
    assert (folder / "precious" / "file").read_text() == "kept"


def test_a_path_elsewhere_is_new_and_keeps_the_name(folder: Path) -> None:
    one, other = elsewhere(folder / "a.png"), elsewhere(folder / "a.png")
    assert one.name == "a.png"
    assert one != other
    assert one.parent.is_dir()


HOLD = """
import sys
from neuralstyle.files import holding

with holding(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_path_is_held_by_one_process_until_it_ends(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "out.png")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, "out.png"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    for name in ("out.png", "./out.png", "link"):
        with pytest.raises(BlockingIOError, match=rf"{name} is being written by another run"), holding(name):
            pass
    with holding("other.png"):
        pass
    other.kill()
    other.communicate()
    with holding("out.png"):
        pass
    assert [path.name for path in folder.iterdir()] == ["link"]


PHOTO, STYLE = Read(Path("photo.jpg"), "CONTENT"), Read(Path("style.jpg"), "STYLE")


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        ([Write(Path("photo.jpg"), "-o")], "-o photo.jpg is read too, as CONTENT, and an input is never replaced"),
        ([Write(Path("link.jpg"), "-o")], "-o link.jpg is read too"),
        ([Write(Path("hard.jpg"), "-o")], "-o hard.jpg is read too"),
        ([Write(Path("sub/../photo.jpg"), "-o")], "is read too"),
        ([Write(Path("album/a.jpg"), "-o")], "-o album/a.jpg is read too, as DATA"),
        ([Write(Path("album/{}.jpg"), "--snapshots", "numbered")], "--snapshots album/1.jpg is read too, as DATA"),
        ([Write(Path("o.png"), "-o"), Write(Path("o.png"), "--plot")], "-o and --plot both write o.png"),
        ([Write(Path("o-%d.png"), "--snapshots", "numbered"), Write(Path("o-2.png"), "-o")], "both write o-2.png"),
        ([Write(Path("o-2.png"), "-o"), Write(Path("o-%d.png"), "--snapshots", "numbered")], "-o and --snapshots both"),
        ([Write(Path("old.png"), "-o")], None),
    ],
)
def test_inputs_are_never_outputs_and_outputs_differ(folder: Path, writes: list[Write], message: str | None) -> None:
    (folder / "sub").mkdir()
    (folder / "album").mkdir()
    for name in ("photo.jpg", "style.jpg", "old.png", "album/a.jpg", "album/1.jpg"):
        (folder / name).write_text(name)
    (folder / "link.jpg").symlink_to("photo.jpg")
    os.link("photo.jpg", "hard.jpg")
    reads = [PHOTO, STYLE, Read(Path("album"), "DATA"), Read(Path("swirl"), "MODEL")]
    if message is None:
        check_paths(reads, writes, overwrite=True)
    else:
        with pytest.raises(ValueError, match=re.escape(message)):
            check_paths(reads, writes, overwrite=True)


@pytest.mark.parametrize(
    ("write", "kind", "message"),
    [
        (Write(Path("there.png"), "-o"), FileExistsError, "there.png exists"),
        (Write(Path("step-{}.png"), "--snapshots", "numbered"), FileExistsError, "step-7.png exists"),
        (Write(Path("sub"), "-o"), IsADirectoryError, "sub is a folder"),
        (Write(Path("absent/a.png"), "-o"), FileNotFoundError, "there is no folder absent"),
        (
            Write(Path("a.gif"), "-o", suffixes=(".png", ".jpg")),
            ValueError,
            "unknown suffix '.gif'; use one of .png .jpg",
        ),
        (Write(Path("there.png"), "--state", "folder"), NotADirectoryError, "there.png is a file; give the name of a"),
        (
            Write(Path("there.png/x"), "--state", "folder"),
            NotADirectoryError,
            "there.png is a file; give the name of a",
        ),
        (Write(Path("new/deep"), "--state", "folder"), None, ""),
        (Write(Path("there.png"), "--state", may_exist=True), None, ""),
    ],
)
def test_places_are_checked(folder: Path, write: Write, kind: type[Exception] | None, message: str) -> None:
    (folder / "sub").mkdir()
    for name in ("there.png", "step-7.png"):
        (folder / name).write_text(name)
    if kind is None:
        check_paths([], [write])
        assert not Path("new").exists()
    else:
        with pytest.raises(kind, match=re.escape(message)):
            check_paths([], [write])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("\ud800.png", r"-o: no file can have the name '\ud800.png'; give another"),
        ("a\0.png", r"-o: no file can have the name 'a\x00.png'; give another"),
        (300 * "a" + ".png", "has 304 bytes, and 255 are the most"),
    ],
    ids=["surrogate", "null", "long"],
)
def test_a_name_that_no_file_can_have_is_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        check_paths([], [Write(Path(name), "-o")])
    assert len(str(caught.value)) < 160


def test_a_place_that_cannot_be_written_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    for write in (Write(Path("a.png"), "-o"), Write(Path("run"), "--state", "folder")):
        with pytest.raises(PermissionError, match=r"cannot write in folder .* \(Read-only file system\)"):
            check_paths([], [write])


def test_a_target_is_returned_as_a_path(folder: Path) -> None:
    assert check_target("a.png") == Path("a.png")


def test_numbered_files_know_their_own(folder: Path) -> None:
    files = NumberedFiles("step-{:03d}.png")
    assert files.path(7) == Path("step-007.png")
    assert files.is_one(folder / "step-12.png")
    assert not files.is_one(Path("sub/step-12.png"))
    assert not files.is_one(Path("step-a.png"))
    assert files.existing() == []
