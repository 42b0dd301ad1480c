"""Every option of anishathalye/neural-style: our way to say it on the command line and in Python, and what it does.

The rows are those of the table in docs/coming-from.md. Where both ways ask for the same picture, their plans are
compared, which say all that the picture depends on; few pictures are painted.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from neuralstyle import (
    DEFAULT_LOSSES,
    Adam,
    ContentLoss,
    FeatureExtractor,
    LossSum,
    Noise,
    Style,
    TotalVariationLoss,
    Width,
    cli,
    iterate,
    load_image,
    plan,
    samples,
    save_image,
    stylize,
)
from neuralstyle.callbacks import plot_losses, read_losses
from neuralstyle.cli import saving
from neuralstyle.color import rgb_to_oklab
from neuralstyle.losses import geometric_weights
from neuralstyle.schedule import single_scale

QUICK = "--size 48 --iterations 3 --schedule single --quiet"
PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"
Pixels = npt.NDArray[np.uint8]
Settings = dict[str, str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    samples.photo().resize((96, 64)).save(folder / "photo.png")
    samples.painting("swirl", size=96).save(folder / "swirl.png")
    samples.painting("embers", size=96).save(folder / "embers.png")
    return folder


@pytest.fixture
def main(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call the command line. OUT stands for a folder of the test's own."""

    def main(options: str = "", styles: str = "swirl.png", quick: str = QUICK) -> int:
        monkeypatch.chdir(files)
        words = f"stylize photo.png {styles} -o OUT/out.png --overwrite {quick} {options}"
        return cli.main(words.replace("OUT", str(tmp_path)).split())

    return main


@pytest.fixture
def paint(main: Callable[..., int], tmp_path: Path) -> Callable[..., Pixels]:
    """Paint on the command line: the picture as an array."""

    def paint(*arguments: str, **options: str) -> Pixels:
        assert main(*arguments, **options) == 0
        return np.asarray(Image.open(tmp_path / "out.png"))

    return paint


@pytest.fixture
def run(main: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Settings]]:
    """Plan on the command line, and paint nothing: what the picture depends on."""

    def run(*arguments: str, **options: str) -> Settings:
        plans = []

        def keep(planned: Any, **_: object) -> Image.Image:
            plans.append(planned)
            return Image.new("RGB", (8, 8))

        with monkeypatch.context() as patch:
            patch.setattr(saving, "paint", keep)
            assert main(*arguments, **options) == 0
        return plans[0].settings()  # type: ignore[no-any-return]

    return run


@pytest.fixture
def python(files: Path) -> Callable[..., Settings]:
    """Plan the same in Python."""

    def python(style: Any = None, **options: Any) -> Settings:
        settings = {"size": 48, "iterations": 3, "schedule": "single", "progress": False}
        chosen = files / "swirl.png" if style is None else style
        return plan(files / "photo.png", chosen, **{**settings, **options}).settings()

    return python


def losses(content: Any = None, style: Any = None, tv: float = 1.0) -> LossSum:
    terms = []
    for term in DEFAULT_LOSSES:
        loss, weight = term.loss, term.weight
        if isinstance(loss, ContentLoss) and content:
            loss = ContentLoss(**content)
        if loss.reference == "style" and style:
            loss = replace(loss, **style)
        terms.append((weight * tv if isinstance(loss, TotalVariationLoss) else weight) * loss)
    return sum(terms[1:], terms[0])


def test_content_styles_output(
    paint: Callable[..., Pixels], run: Callable[..., Settings], files: Path, tmp_path: Path
) -> None:
    settings: Any = {"size": 48, "iterations": 3, "schedule": "single", "progress": False}
    assert np.array_equal(paint(), np.asarray(stylize(files / "photo.png", files / "swirl.png", **settings)))
    Image.open(files / "photo.png").convert("L").save(tmp_path / "grey.png")
    assert load_image(tmp_path / "grey.png").shape[1] == 3
    # Writability is tested before the work, and JPEG is saved in quality 95.
    assert cli.main(["stylize", str(files / "photo.png"), str(files / "swirl.png"), "-o", "/no/such/folder/o.png"]) == 2
    assert inspect.signature(save_image).parameters["quality"].default == 95
    assert run(styles="swirl.png embers.png")["style"].count("Style(") == 2


def test_iterations(run: Callable[..., Settings], python: Callable[..., Settings]) -> None:
    assert run("--iterations 2") == python(iterations=2) != python(iterations=5)
    assert run("--iterations 2")["sizes and iterations"] == "[(32, 48, 2)]"


def test_what_is_watched(main: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--print-every 2 --snapshots OUT/at-%03d.png --snapshots-every 2 --log OUT/log.csv --plot OUT/plot.png"
    assert main(f"{options} --iterations 5") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert [int(line.split()[0]) for line in lines] == [2, 4, 5]
    assert all(name in lines[0] for name in DEFAULT_LOSSES.names)
    assert sorted(path.name for path in tmp_path.glob("at-*")) == ["at-002.png", "at-004.png", "at-005.png"]
    rows = read_losses(tmp_path / "log.csv")
    assert len(rows) == 5
    assert set(DEFAULT_LOSSES.names) <= set(rows[0])
    plot_losses(tmp_path / "log.csv", tmp_path / "again.png")
    assert torch.equal(load_image(tmp_path / "plot.png"), load_image(tmp_path / "again.png"))


@pytest.mark.parametrize(
    ("options", "message"),
    [("--snapshots-every 2", "--snapshots;"), ("--snapshots OUT/all.png", "%d"), ("--plot OUT/plot.png", "--log;")],
)
def test_what_is_watched_is_checked(
    main: Callable[..., int], capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_width(run: Callable[..., Settings], python: Callable[..., Settings]) -> None:
    assert run("--width 60", quick="--iterations 3 --schedule single --quiet") == python(size=Width(60))
    assert python(size=Width(60))["sizes and iterations"] == "[(40, 60, 3)]"


def test_style_scales(run: Callable[..., Settings], python: Callable[..., Settings], files: Path) -> None:
    swirl, embers = files / "swirl.png", files / "embers.png"
    changed = run("--style-scales 0.5 1", "swirl.png embers.png")
    assert changed == python([Style(swirl, scale=0.5), Style(embers)])
    assert changed != run("", "swirl.png embers.png")


def test_network(run: Callable[..., Settings], python: Callable[..., Settings], tmp_path: Path) -> None:
    state = {}
    # A file of torchvision's layout: the numbers of the convolutions in its list of modules.
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    for number, convolution in zip(numbers, FeatureExtractor("vgg19").convolutions.values(), strict=True):
        state[f"features.{number}.weight"] = torch.full(convolution.weight.shape, 1e-3)
        state[f"features.{number}.bias"] = torch.zeros(convolution.bias.shape)
    file = tmp_path / "vgg.pth"
    torch.save(state, file)
    network = FeatureExtractor("vgg19", weights=file, normalize=False, pooling="l2", padding="replicate")
    assert run("--weights OUT/vgg.pth --no-normalize") == python(encoder=network) != run("--no-normalize")
    other = run("--weights OUT/vgg.pth --no-normalize --preprocessing caffe")
    assert other != python(encoder=network)


def test_content_weight_blend(run: Callable[..., Settings], python: Callable[..., Settings]) -> None:
    changed = run("--content-layers relu4_2 relu5_2 --content-layer-weights 0.3 0.7")
    blend = {"layers": ("relu4_2", "relu5_2"), "layer_weights": (0.3, 0.7)}
    assert changed == python(losses=losses(content=blend)) != run()


def test_the_default_blend_is_one_layer_alone(paint: Callable[..., Pixels]) -> None:
    blended = paint("--content-layers relu4_2 relu5_2 --content-layer-weights 1 0")
    assert np.array_equal(blended, paint("--content-layers relu4_2"))


@pytest.mark.parametrize("name", ["content", "style", "tv"])
def test_weights(
    paint: Callable[..., Pixels], run: Callable[..., Settings], python: Callable[..., Settings], name: str
) -> None:
    summed = losses(tv=30) if name == "tv" else losses().scaled(name, 30)  # type: ignore[arg-type]
    assert run(f"--{name}-weight 30") == python(losses=summed)
    assert run(f"--{name}-weight 1") == run()
    changed, plain = (paint(f"--{name}-weight {w} --iterations 8").astype(float) for w in (30, 1))
    content = load_image("photo.png", 48).permute(0, 2, 3, 1)[0].numpy() * 255
    if name == "content":
        assert np.abs(changed - content).mean() < np.abs(plain - content).mean()
    if name == "tv":
        assert np.abs(np.diff(changed, axis=0)).mean() < np.abs(np.diff(plain, axis=0)).mean()
    if name == "style":
        assert np.abs(changed - content).mean() > np.abs(plain - content).mean()


def test_options_of_an_optimiser_change_the_stages_that_paint_by_it(
    run: Callable[..., Settings], main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    quick = "--size 48 --iterations 2 --quiet"
    own, result = (run(quick=quick)[name] for name in ("optimizer", "result"))
    assert own.count("LBFGS") == 1
    assert own.count("Adam") == 2
    assert run("--history 5", quick=quick)["optimizer"] == own.replace("history=None", "history=5")
    assert run("--lr 0.01", quick=quick)["optimizer"] == own.replace("lr=0.02", "lr=0.01")
    assert run("--history 5 --lr 0.01", quick=quick)["result"] == result
    assert run("--optimizer adam", quick=quick)["result"] != result
    assert main("--lr 0.01 --schedule preview", quick=quick) == 2
    assert "--lr is an option of adam, by which no stage" in capsys.readouterr().err


def test_a_weight_that_multiplies_nothing_is_refused(
    main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("--recipe gatys --ghost-weight 2") == 2
    assert "--ghost-weight multiplies the weight of GhostLoss, which --recipe gatys has not" in capsys.readouterr().err


def test_style_layer_weight_exp(run: Callable[..., Settings], python: Callable[..., Settings]) -> None:
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    weights = geometric_weights(layers, 0.5)
    assert weights == pytest.approx([16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31])
    five = losses(style={"layers": layers, "layer_weights": weights})
    assert run(f"--style-layer-ratio 0.5 --style-layers {' '.join(layers)}") == python(losses=five)
    own = next(term.loss.layers for term in DEFAULT_LOSSES if term.loss.reference == "style")
    fewer = losses(style={"layer_weights": geometric_weights(own, 0.3)})
    assert run("--style-layer-ratio 0.3") == python(losses=fewer) != run()


def test_style_blend_weights(run: Callable[..., Settings], python: Callable[..., Settings], files: Path) -> None:
    swirl, embers = files / "swirl.png", files / "embers.png"
    pair = "swirl.png embers.png"
    assert run("--style-blend-weights 3 1", pair) == python([Style(swirl, 3.0), Style(embers, 1.0)])
    assert run("", pair) == python([Style(swirl), Style(embers)]) != run("--style-blend-weights 3 1", pair)


def test_shares_of_styles_are_divided_by_their_sum(paint: Callable[..., Pixels]) -> None:
    pair = "swirl.png embers.png"
    assert np.array_equal(paint("--style-blend-weights 1 0", pair), paint())
    assert np.array_equal(paint("--style-blend-weights 2 2", pair), paint("", pair))


def test_learning_rate_and_betas(
    run: Callable[..., Settings],
    python: Callable[..., Settings],
    main: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed = run("--optimizer adam --lr 0.05 --betas 0.8 0.95 --eps 1e-7")
    assert changed == python(optimizer=Adam(lr=0.05, betas=(0.8, 0.95), eps=1e-7))
    assert run("--optimizer adam") == python(optimizer="adam") != changed
    assert main("--lr 0.05") == 2
    assert "--optimizer adam" in capsys.readouterr().err


def test_initial_and_noiseblend(run: Callable[..., Settings], python: Callable[..., Settings], files: Path) -> None:
    assert run("--init embers.png") == python(init=files / "embers.png")
    assert run("--noise-blend 0.4 --seed 2") == python(init=Noise(blend=0.4), seed=2)
    assert run("--noise-blend 1 --seed 2") == run("--init noise --seed 2")
    options = ("", "--init embers.png", "--noise-blend 0.4", "--init noise", "--init noise --seed 3")
    starts = [run(option)["start"] for option in options]
    assert len(set(starts)) == len(starts)


def test_preserve_colors(
    paint: Callable[..., Pixels], run: Callable[..., Settings], python: Callable[..., Settings], files: Path
) -> None:
    assert run("--color luminance") == python(color="luminance")

    def chroma(picture: Any) -> torch.Tensor:
        return rgb_to_oklab(load_image(picture, 48))[:, 1:]

    content = chroma(files / "photo.png")
    plain, own = ((chroma(paint(option)) - content).norm(dim=1).mean() for option in ("", "--color luminance"))
    assert own < 0.1 * plain


def test_pooling(run: Callable[..., Settings], python: Callable[..., Settings]) -> None:
    poolings = ("max", "average", "l2")
    found = [run(f"--pooling {pooling}") for pooling in poolings]
    encoders = [FeatureExtractor("vgg19", pooling=pooling, padding="replicate") for pooling in poolings]
    assert found == [python(encoder=encoder) for encoder in encoders]
    assert len({settings["encoder"] for settings in found}) == 3
    with pytest.raises(SystemExit):
        run("--pooling maximum")


def test_overwrite(main: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"mine")
    words = ["stylize", "photo.png", "swirl.png", "-o", str(output), *QUICK.split()]
    assert main() == 0  # with --overwrite
    replaced = output.read_bytes()
    assert replaced != b"mine"
    assert "ContentLoss" not in capsys.readouterr().out  # losses are printed for who asks
    assert cli.main(words) == 2
    assert "exists" in capsys.readouterr().err
    assert output.read_bytes() == replaced


@pytest.mark.parametrize("result", ["best", "last", "average"])
def test_the_result_is_the_iterate_of_the_lowest_loss(
    run: Callable[..., Settings], python: Callable[..., Settings], result: Any
) -> None:
    assert run(f"--result {result}") == python(result=result)
    assert (run(f"--result {result}") == run()) == (result == "best")


def test_stylize_as_a_generator(files: Path) -> None:
    options: Any = {"size": 48, "iterations": 3, "schedule": single_scale, "progress": False}
    steps = list(iterate(stylize, files / "photo.png", files / "swirl.png", **options))
    assert [step.iteration for step in steps] == [1, 2, 3]
    whole = stylize(files / "photo.png", files / "swirl.png", **options)
    assert np.array_equal(np.asarray(steps[-1].image()), np.asarray(whole))


def test_every_row_of_the_page_is_an_option_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """The page's tables name our options in code; each must be in --help-all."""
    text = PAGE.read_text(encoding="utf-8")
    rows = " ".join(row.split("|")[2] for row in text.splitlines() if row.count("|") > 3)
    named = set(re.findall(r"`(--[a-z][a-z-]*)", rows)) | set(re.findall(r" (--[a-z][a-z-]*)[ `]", rows))
    for command in ("stylize", "batch", "texture", "train", "apply", "export", "video", "compare"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help-all" if command != "export" else "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert len(named) > 35
    assert named - {"--nproc-per-node"} <= known
