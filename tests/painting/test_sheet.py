"""Contact sheets and sweeps: what varies, what is painted, what stands where, and what is kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import painting, two_stages
from PIL import Image
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Style, save_image, stylize
from neuralstyle.many import Sheet, contact_sheet, sweep
from neuralstyle.many.axes import MOST_CELLS
from neuralstyle.many.sweeps import scores

LOSSES = ContentLoss("relu1_1") + 10 * GramStyleLoss(("relu1_1",))


@pytest.fixture
def options(encoder: FeatureExtractor) -> dict[str, Any]:
    return {"size": 32, "iterations": 4, "schedule": "single", "encoder": encoder, "progress": False}


@pytest.fixture(scope="module")
def paintings() -> dict[str, Image.Image]:
    return {name: painting(name) for name in ("swirl", "embers")}


def pixels(image: Image.Image) -> bytes:
    return image.tobytes()


def places(whole: Sheet) -> list[tuple[int, int]]:
    """The (top, left) at which the sheet shows each of its cells, to the pixel."""
    drawn = np.asarray(whole.image()).astype(int)
    found = []
    for cell in whole.cells:
        part = np.asarray(cell.image).astype(int)
        height, width = part.shape[:2]
        windows = np.lib.stride_tricks.sliding_window_view(drawn[:, :, 0], (height, width))
        rows, columns = np.nonzero((windows == part[:, :, 0]).all((2, 3)))
        assert len(rows) == 1
        assert (drawn[rows[0] : rows[0] + height, columns[0] : columns[0] + width] == part).all()
        found.append((int(rows[0]), int(columns[0])))
    return found


def test_photographs_run_down_and_paintings_across(
    photo: Tensor, paintings: dict[str, Image.Image], options: dict[str, Any]
) -> None:
    photos = {"one": photo, "two": photo.flip(3)}
    whole = contact_sheet(photos, paintings, losses=LOSSES, **options)
    assert [cell.settings for cell in whole.cells] == [
        {"photograph": one, "painting": other} for one in photos for other in paintings
    ]
    for cell in whole.cells:
        alone = stylize(photos[str(cell.settings["photograph"])], paintings[str(cell.settings["painting"])],
                        losses=LOSSES, **options)  # fmt: skip
        assert pixels(cell.image) == pixels(alone)
    found = places(whole)
    assert found[0][0] == found[1][0] < found[2][0] == found[3][0]
    assert found[0][1] == found[2][1] < found[1][1] == found[3][1]
    assert repr(whole) == "<Sheet of 4 pictures: 2 photograph x 2 painting>"


def test_the_last_that_varies_runs_across_and_all_else_down(
    photo: Tensor, paintings: dict[str, Image.Image], options: dict[str, Any]
) -> None:
    losses = {"gram": LOSSES, "more": LOSSES.scaled("style", 0.3)}
    whole = contact_sheet(photo, paintings["swirl"], losses=losses, strengths=[0, 0.2, 0.4], **options)
    assert [(row["losses"], row["strength"]) for row in whole.rows] == [
        (name, strength) for name in losses for strength in (0, 0.2, 0.4)
    ]
    found = places(whole)
    assert len({top for top, _ in found}) == 2
    assert len({left for _, left in found}) == 3
    alone = stylize(photo, paintings["swirl"], losses=losses["more"], strength=0.4, **options)
    assert pixels(whole.cells[-1].image) == pixels(alone)


@pytest.mark.parametrize(
    ("axis", "values", "single"),
    [
        ("strengths", [0.1, 0.9], {"strength": 0.9}),
        ("style_weights", [1, 5], {"losses": LOSSES.scaled("style", 5)}),
        ("scales", [1, 0.5], {"scale": 0.5}),
        ("seeds", [0, 3], {"seed": 3, "init": "noise"}),
    ],
)
def test_each_axis_is_the_option_of_stylize(
    photo: Tensor, options: dict[str, Any], axis: str, values: list[float], single: dict[str, Any]
) -> None:
    shared = {"init": "noise"} if axis == "seeds" else {}
    whole = contact_sheet(photo, Style(painting(), weight=2.0), losses=LOSSES, **{axis: values}, **shared, **options)
    first, last = whole.cells
    scale = single.pop("scale", 1.0)
    alone = stylize(photo, Style(painting(), weight=2.0, scale=scale), **{"losses": LOSSES, **options, **single})
    assert pixels(last.image) == pixels(alone) != pixels(first.image)
    assert len(places(whole)) == 2


def test_names_of_losses_take_the_place_of_the_default_one(photo: Tensor, options: dict[str, Any]) -> None:
    whole = contact_sheet(photo, painting(), losses=["gram", "mean-std"], **options)
    assert [list(cell.terms)[1] for cell in whole.cells] == ["GramStyleLoss", "MeanStdLoss"]
    assert [row["losses"] for row in whole.rows] == ["gram", "mean-std"]
    assert list(whole.rows[0]) == list(whole.rows[1])  # every row has every column, as a table needs
    assert whole.rows[0]["MeanStdLoss"] is None


def test_a_list_in_a_mapping_is_a_blend(photo: Tensor, options: dict[str, Any]) -> None:
    both = [painting("swirl"), painting("embers")]
    whole = contact_sheet(photo, {"both": both}, losses=LOSSES, **options)
    assert pixels(whole.cells[0].image) == pixels(stylize(photo, both, losses=LOSSES, **options))


def test_a_row_says_how_a_picture_was_painted(photo: Tensor, encoder: FeatureExtractor) -> None:
    seen: list[Any] = []
    whole = contact_sheet(
        photo, painting(), losses=LOSSES, size=32, schedule=two_stages, encoder=encoder, progress=False,
        callback=seen.append,
    )  # fmt: skip
    (row,) = whole.rows
    assert (row["photograph"], row["painting"]) == ("photograph", "painting")
    assert row["loss"] == seen[-1].loss
    assert row["GramStyleLoss"] == seen[-1].terms["GramStyleLoss"]
    assert float(row["seconds"] or 0) > 0


def test_a_sweep_measures_every_result(photo: Tensor, encoder: FeatureExtractor) -> None:
    from neuralstyle.metrics import Curve, style_distance

    found = sweep(
        photo, painting("swirl", 96), losses=LOSSES, strengths=[0, 0.5], size=96, iterations=8, schedule="single",
        encoder=encoder, progress=False,
    )  # fmt: skip
    low, high = found.rows
    assert low["style"] > high["style"]  # type: ignore[operator]
    assert low["structure"] > high["structure"]  # type: ignore[operator]
    assert low["style"] == style_distance(found.cells[0].image, painting("swirl", 96))
    curve = Curve.of(found.rows)
    assert curve.style_at(float(low["structure"] or 0)) == low["style"]
    own = sweep(
        photo, painting(), losses=LOSSES, measure=lambda image, content, style: {"width": image.width}, size=32,
        iterations=1, schedule="single", encoder=encoder, progress=False,
    )  # fmt: skip
    assert own.rows[0]["width"] == 32


# --- files


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".webp", ".PDF"])
def test_a_sheet_is_saved_as_a_picture_or_a_page(
    photo: Tensor, options: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    whole = contact_sheet(photo, painting(), losses=LOSSES, strengths=[0.3, 0.7], **options)
    path = whole.save(tmp_path / f"sheet{suffix}")
    if suffix == ".png":
        with Image.open(path) as saved:
            assert pixels(saved) == pixels(whole.image())
    if suffix.lower() == ".pdf":
        page = path.read_bytes()
        width, height = whole.image().size
        assert page.startswith(b"%PDF")
        assert page.count(b"/Type /Page\n") == 1 or page.count(b"/Page") >= 1
        assert f"/Width {width}".encode() in page
        assert f"/Height {height}".encode() in page
    with pytest.raises(FileExistsError, match="--overwrite"):
        whole.save(path)
    whole.save(path, overwrite=True, dpi=300)
    if suffix == ".pdf":
        points = f"{whole.image().width * 72 / 300:.2f}".rstrip("0").rstrip(".")
        assert points.encode() in path.read_bytes()
    elif suffix == ".png":
        with Image.open(path) as saved:
            assert saved.info["dpi"][0] == pytest.approx(300, abs=0.1)
    for wrong in ({"dpi": 0}, {"quality": 0}):
        with pytest.raises(ValueError, match=r"dpi is a finite number|quality is a whole number"):
            whole.save(path, overwrite=True, **wrong)
    with pytest.raises(ValueError, match=r"unknown suffix '\.gif'"):
        whole.save(tmp_path / "sheet.gif")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_cells_are_saved_one_by_one_and_replace_nothing(photo: Tensor, options: dict[str, Any], tmp_path: Path) -> None:
    save_image(photo, tmp_path / "a b.png")
    save_image(photo.flip(3), tmp_path / "ä.png")
    photos = [tmp_path / "a b.png", tmp_path / "ä.png"]
    whole = contact_sheet(photos, painting(), losses=LOSSES, cells=tmp_path / "new" / "cells", **options)
    folder = tmp_path / "new" / "cells"
    assert sorted(path.name for path in folder.iterdir()) == ["1-a-b-painting.png", "2-painting.png"]
    with Image.open(folder / "1-a-b-painting.png") as saved:
        assert pixels(saved) == pixels(whole.cells[0].image)
    assert [path.name for path in whole.save_cells(tmp_path / "more")] == ["1-a-b-painting.png", "2-painting.png"]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match=r"1-a-b-painting\.png exists"):
        contact_sheet(photos, painting(), losses=LOSSES, cells=folder, **options)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    contact_sheet(photos, painting(), losses=LOSSES, cells=folder, overwrite=True, **options)
    (folder / "1-a-b-painting.png").rename(folder / "1-x-painting.png")
    with pytest.raises(FileExistsError, match="2-painting"):  # one alone is enough
        contact_sheet(photos, painting(), losses=LOSSES, cells=folder, **options)


def test_a_cell_never_replaces_a_picture_that_is_read(photo: Tensor, options: dict[str, Any], tmp_path: Path) -> None:
    file = save_image(photo, tmp_path / "1-1-a-painting-painting.png")
    file = file.rename(tmp_path / "1-a-painting.png")
    (tmp_path / "a.png").symlink_to(file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match="an input is never replaced"):
        contact_sheet(tmp_path / "a.png", painting(), losses=LOSSES, cells=tmp_path, overwrite=True, **options)
    assert file.read_bytes() == before


def test_what_is_painted_is_kept_when_the_work_stops(
    photo: Tensor, paintings: dict[str, Image.Image], options: dict[str, Any], tmp_path: Path
) -> None:
    count = []

    def interrupt(progress: object) -> None:
        count.append(1)
        if len(count) == 10:  # in the third cell of four evaluations
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        contact_sheet({"a": photo, "b": photo}, paintings, losses=LOSSES, cells=tmp_path / "cells", callback=interrupt,
              **options)  # fmt: skip
    found: Sheet = caught.value.sheet  # type: ignore[attr-defined]
    assert [cell.name for cell in found.cells] == ["1-a-swirl", "2-a-embers"]
    assert sorted(path.stem for path in (tmp_path / "cells").iterdir()) == ["1-a-swirl", "2-a-embers"]
    drawn = found.image()  # with empty places
    assert drawn.size == contact_sheet({"a": photo, "b": photo}, paintings, losses=LOSSES, **options).image().size


# --- what is refused, before any painting


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"contents": []}, ValueError, "there is no photograph"),
        ({"styles": {}}, ValueError, "there is no painting"),
        ({"contents": ["missing.png"]}, FileNotFoundError, r"missing\.png"),
        ({"styles": ["missing.png", "other.png"]}, FileNotFoundError, r"missing\.png"),
        ({"losses": ["gram", "grm"]}, ValueError, "did you mean 'gram'"),
        ({"losses": {}}, ValueError, "there are no losses"),
        ({"losses": 3}, TypeError, "the losses of a sheet"),
        ({"losses": {"a": 3}}, TypeError, "the losses 'a'"),
        ({"losses": {"a": LOSSES, "b": GramStyleLoss("relu9_1")}}, ValueError, "relu9_1"),
        ({"strengths": [0.5, 1.5]}, ValueError, r"strength is a number from 0 .* received 1\.5"),
        ({"strengths": []}, ValueError, "there is no strength"),
        ({"scales": [0]}, ValueError, "a scale is a finite number above 0"),
        ({"seeds": [1.5]}, ValueError, "a seed is a whole number"),
        ({"style_weights": ["x"]}, ValueError, "a style weight is a finite number"),
        ({"strengths": [0.5], "strength": 0.7}, ValueError, "strength and strengths are two ways"),
        ({"state": "run.safetensors"}, ValueError, "a sheet keeps no state"),
        ({"seeds": range(MOST_CELLS + 1)}, ValueError, f"{MOST_CELLS} are the most"),
        ({"strenghts": [0.5]}, TypeError, "did you mean 'strength'"),
        ({"styles": [5]}, TypeError, "a picture is a path"),
        ({"measure": scores}, ValueError, "a spectrum needs at least 64"),
    ],
)
def test_wrong_input_is_named_before_the_work(
    photo: Tensor, options: dict[str, Any], arguments: dict[str, Any], error: type[Exception], message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it was painted")

    monkeypatch.setattr("neuralstyle.many.sheet.stylize", fail)
    given = {"contents": photo, "styles": painting(), "losses": LOSSES, **options, **arguments}
    with pytest.raises(error, match=message):
        contact_sheet(**given, cells=tmp_path / "cells")
    assert list(tmp_path.iterdir()) == []


def test_one_number_is_a_list_of_one_and_equal_ones_are_painted_once(photo: Tensor, options: dict[str, Any]) -> None:
    values: Iterable[float] = (x for x in (0.3, 0.3))
    assert len(contact_sheet(photo, painting(), losses=LOSSES, strengths=values, **options).cells) == 1
    assert len(contact_sheet(photo, painting(), losses=LOSSES, seeds=4, **options).cells) == 1  # type: ignore[arg-type]


def test_files_of_one_name_are_told_apart(photo: Tensor, options: dict[str, Any], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save_image(photo, tmp_path / folder / "x.png")
    whole = contact_sheet([tmp_path / "a/x.png", tmp_path / "b/x.png"], painting(), losses=LOSSES, **options)
    assert [cell.settings["photograph"] for cell in whole.cells] == [
        str(tmp_path / "a/x.png"),
        str(tmp_path / "b/x.png"),
    ]
    names = contact_sheet([photo, photo], painting(), losses=LOSSES, **options).rows
    assert [row["photograph"] for row in names] == ["photograph 1", "photograph 2"]


def test_narrow_paintings_stand_in_the_sheet(photo: Tensor, options: dict[str, Any]) -> None:
    narrow = torch.rand(1, 3, 16, 400)
    assert len(contact_sheet(photo, [narrow, painting()], losses=LOSSES, **options).cells) == 2
