"""Regions found by themselves."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from neuralstyle import Style, cli, load_image, save_image
from neuralstyle.objective.regions import warn_of_bare_parts
from neuralstyle.regions import auto_regions, save_regions
from neuralstyle.regions.clusters import find_clusters, memberships, transport


def blocks(height: int, width: int, side: int = 8, seed: int = 0) -> Tensor:
    """A busy texture of coloured blocks, (3, height, width)."""
    drawn = torch.rand(1, 3, height // side, width // side, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(drawn, scale_factor=side)[0]


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """A light sky above, a dark lawn of fine grass at the right, and houses."""
    picture = torch.full((3, 128, 192), 0.85)
    picture[:, 64:] = blocks(64, 192)
    grass = 0.25 + 0.03 * torch.rand(64, 80, generator=torch.Generator().manual_seed(3))
    picture[:, 64:, 112:] = grass
    return picture


@pytest.fixture(scope="module")
def painting() -> Tensor:
    """Light ground at the left, dark ground at the right, things between them."""
    picture = blocks(160, 192, seed=1)
    picture[:, :, :56] = 0.8
    picture[:, :, 136:] = 0.2
    return picture


@pytest.fixture(scope="module")
def found(photograph: Tensor, painting: Tensor) -> list[Style]:
    return auto_regions(photograph, painting)


def region(style: Style) -> Tensor:
    assert isinstance(style.region, Tensor)
    return style.region[0, 0]


def mask(style: Style) -> Tensor:
    assert isinstance(style.mask, Tensor)
    return style.mask[0, 0]


def at(found: list[Style], row: int, column: int) -> Style:
    """The style that has most of a place."""
    return max(found, key=lambda style: float(region(style)[row, column]))


def test_regions_add_up_to_white_and_leave_nothing_bare(found: list[Style], photograph: Tensor) -> None:
    total = sum(region(style) for style in found)
    assert torch.allclose(torch.as_tensor(total), torch.ones(()), atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_bare_parts(found, (photograph.shape[1], photograph.shape[2]), "bare")


def test_quiet_parts_are_found_and_matched_by_lightness(found: list[Style]) -> None:
    sky, lawn, rest = at(found, 20, 60), at(found, 100, 160), at(found, 100, 40)
    assert len(found) == 3
    assert len({id(sky), id(lawn), id(rest)}) == 3
    assert rest is found[-1]
    width = mask(sky).shape[1]
    light, dark = slice(0, width // 8), slice(-(width // 8), None)
    assert mask(sky)[:, light].mean() > 0.7 > 0.1 > mask(sky)[:, dark].mean()
    assert mask(lawn)[:, dark].mean() > 0.7 > 0.1 > mask(lawn)[:, light].mean()


def test_things_of_the_painting_count_for_the_rest_alone(found: list[Style]) -> None:
    middle = slice(mask(found[0]).shape[1] * 2 // 5, mask(found[0]).shape[1] * 3 // 5)
    assert all(mask(style)[:, middle].max() < 0.1 for style in found[:-1])
    assert mask(found[-1])[:, middle].mean() > 0.4


def test_a_region_reaches_up_to_the_edge_of_a_thing(found: list[Style]) -> None:
    sky = region(at(found, 20, 60))
    horizon = sky.shape[0] // 2
    assert sky[horizon - 8, 10:80].mean() > 0.7
    assert sky[horizon + 8, 10:80].mean() < 0.2


def test_a_thin_thing_before_the_sky_is_no_part_of_it(photograph: Tensor, painting: Tensor) -> None:
    with_mast = photograph.clone()
    with_mast[:, 10:64, 90:93] = 0.3
    sky = region(auto_regions(with_mast, painting)[0])
    assert sky[30, 91] < 0.1 < 0.8 < sky[30, 80]


def test_found_regions_are_the_same_each_time(found: list[Style], photograph: Tensor, painting: Tensor) -> None:
    torch.rand(3)
    again = auto_regions(photograph, painting)
    assert all(torch.equal(region(a), region(b)) for a, b in zip(found, again, strict=True))
    assert all(torch.equal(mask(a), mask(b)) for a, b in zip(found, again, strict=True))


def test_ground_that_the_quiet_parts_use_counts_less_for_the_rest() -> None:
    ground, shares = blocks(160, 192, seed=1), []
    ground[:, :, :56] = 0.5
    for height, width in ((48, 64), (128, 96)):
        photograph = blocks(128, 192)
        photograph[:, :height, :width] = 0.5
        rest = mask(auto_regions(photograph, ground)[-1])
        shares.append(float(rest[:, : rest.shape[1] // 6].mean() / rest.mean()))
    assert shares[0] > 1.15 * shares[1]


def test_the_rest_is_as_dark_or_light_as_the_photograph_is_there(painting: Tensor) -> None:
    gradient = torch.linspace(0.1, 0.9, 160).view(1, -1, 1).expand(3, -1, 80)
    drawn = painting.clone()
    drawn[:, :, 56:136] = (gradient + 0.3 * (blocks(160, 80, seed=5) - 0.5)).clamp(0, 1)
    rows = []
    for level in (0.15, 0.75):
        photograph = torch.full((3, 128, 192), 0.5)
        photograph[:, :64, :32], photograph[:, 64:, :32] = 0.0, 1.0  # for equal ranges of lightness
        photograph[:, :, 96:] = level + 0.2 * (blocks(128, 96) - 0.5)
        rest = mask(auto_regions(photograph, drawn)[-1])
        inner = rest[:, rest.shape[1] * 2 // 5 : rest.shape[1] * 3 // 5].mean(1)
        rows.append(float((inner * torch.arange(len(inner))).sum() / inner.sum() / len(inner)))
    assert rows[0] < 0.45 < 0.55 < rows[1]


def test_the_settings_of_the_style_stay(photograph: Tensor, painting: Tensor) -> None:
    styles = auto_regions(photograph, Style(painting, scale=0.5, softness=0.02, edges="strict"))
    assert {(style.scale, style.softness, style.edges) for style in styles} == {(0.5, 0.02, "strict")}


def test_a_mask_of_the_style_holds(photograph: Tensor, painting: Tensor) -> None:
    usable = torch.ones(160, 192)
    usable[:, :64] = 0
    styles = auto_regions(photograph, Style(painting, mask=usable))
    assert len(styles) > 1
    left = slice(0, mask(styles[0]).shape[1] // 4)
    assert all(mask(style)[:, left].max() < 0.05 for style in styles)


@pytest.mark.parametrize(
    ("content", "style", "reason"),
    [
        (blocks(128, 192), "painting", "no part of the photograph is quiet"),
        ("photograph", blocks(160, 192), "the painting has no quiet ground"),
    ],
)
def test_without_quiet_parts_the_style_stays_as_it_is(
    content: Tensor | str, style: Tensor | str, reason: str, request: pytest.FixtureRequest
) -> None:
    pictures = [request.getfixturevalue(each) if isinstance(each, str) else each for each in (content, style)]
    given = Style(pictures[1])
    with pytest.warns(UserWarning, match=reason) as caught:
        assert auto_regions(pictures[0], given) == [given]
    assert caught[0].filename == __file__


def test_a_style_with_a_region_is_refused(photograph: Tensor, painting: Tensor) -> None:
    with pytest.raises(ValueError, match="has one; leave it out"):
        auto_regions(photograph, Style(painting, region=torch.ones(8, 8)))


def test_saved_regions_are_read_back_as_they_were(found: list[Style], tmp_path: Path) -> None:
    files = save_regions(found, tmp_path / "new")
    assert [file.name for file in files[:3]] == ["region-1.png", "mask-1.png", "region-2.png"]
    assert torch.allclose(load_image(files[0])[0, 0], region(found[0]), atol=0.003)
    with pytest.raises(FileExistsError, match=r"region-1\.png exists"):
        save_regions(found, tmp_path / "new")
    assert save_regions(found, tmp_path / "new", overwrite=True) == files
    with pytest.raises(NotADirectoryError, match="is a file"):
        save_regions(found, files[0])


def test_clusters_are_those_that_there_are() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    points = (true[:, None] + 0.03 * torch.randn(3, 100, 2, generator=generator)).flatten(0, 1)
    centres = find_clusters(points, 6, least_share=0.05, least_distance=0.3)
    assert len(centres) == 3
    assert torch.cdist(true, centres).amin(1).max() < 0.02
    members = memberships(points, centres)
    assert torch.allclose(members.sum(1), torch.ones(300))
    assert members.amax(1).min() > 0.95


def test_small_clusters_are_dropped() -> None:
    points = torch.cat([torch.zeros(97, 1), torch.ones(3, 1)])
    assert len(find_clusters(points, 2, least_share=0.05, least_distance=0.1)) == 1


def test_transport_moves_everything_within_capacity_to_the_cheapest() -> None:
    cost = torch.tensor([[0.0, 1.0, 3.0], [0.0, 2.0, 5.0]])
    amounts, capacities = torch.tensor([0.5, 0.3]), torch.tensor([0.4, 0.5, 2.0])
    moved = transport(cost, amounts, capacities, 0.02)
    assert torch.allclose(moved.sum(1), amounts, atol=1e-4)
    assert (moved.sum(0) <= capacities + 1e-3).all()
    # By hand: the second gains most from the first column, so it fills it up to 0.3, and the first takes what is left.
    assert moved.numpy() == pytest.approx(torch.tensor([[0.1, 0.4, 0.0], [0.3, 0.0, 0.0]]).numpy(), abs=1e-2)


def run(*words: str | Path) -> int:
    return cli.main([str(word) for word in words])


def test_the_command_saves_what_it_finds_and_says_how_to_use_it(
    photograph: Tensor, painting: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, style = save_image(photograph, tmp_path / "photo.png"), save_image(painting, tmp_path / "painting.png")
    assert run("regions", photo, style, "-o", tmp_path / "found") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"--masks {tmp_path / 'found' / 'mask-1.png'}" in line
    assert line.count(str(style)) == 3
    assert run("regions", photo, style, "-o", tmp_path / "found") == 2
    assert "exists" in capsys.readouterr().err


def test_auto_on_the_command_line(
    photograph: Tensor, painting: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, style = save_image(photograph, tmp_path / "photo.png"), save_image(painting, tmp_path / "painting.png")
    out = tmp_path / "out.png"
    for words, message in (
        (("stylize", photo, style, style, "-o", out, "--regions", "auto"), "--regions auto is for one painting"),
        (("stylize", photo, style, "-o", out, "--regions", "auto", "-"), "--regions auto is for one painting"),
        (("texture", style, "-o", out, "--regions", "auto"), "finds the quiet parts of a photograph"),
    ):
        assert run(*words) == 2
        assert message in capsys.readouterr().err
