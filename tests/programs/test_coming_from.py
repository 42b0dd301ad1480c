"""Every option of anishathalye/neural-style: our way to say it on the command line and in Python, and what it does.

The rows are those of the table in docs/coming-from.md.
"""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neuralstyle import (
    DEFAULT_LOSSES,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    LossLog,
    Noise,
    SavePictures,
    Style,
    TotalVariationLoss,
    Width,
    cli,
    iterate,
    load_image,
    samples,
    save_image,
    stylize,
)
from neuralstyle.callbacks import plot_losses, read_losses
from neuralstyle.color.oklab import rgb_to_oklab
from neuralstyle.losses import geometric_weights

QUICK = "--size 48 --iterations 3 --schedule single --quiet"
PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    samples.photo().resize((96, 64)).save(folder / "photo.png")
    samples.painting("swirl", size=96).save(folder / "swirl.png")
    samples.painting("embers", size=96).save(folder / "embers.png")
    return folder


@pytest.fixture
def run(files, tmp_path, monkeypatch, capsys):
    """Paint on the command line: the picture as an array. OUT stands for a folder of the test's own."""

    def run(options="", styles="swirl.png", quick=QUICK, code=0):
        monkeypatch.chdir(files)
        output = tmp_path / "out.png"
        words = f"stylize photo.png {styles} -o {output} --overwrite {quick} {options}".replace("OUT", str(tmp_path))
        assert cli.main(words.split()) == code
        run.printed = capsys.readouterr()
        return np.asarray(Image.open(output)) if not code else None

    return run


@pytest.fixture
def python(files):
    """Paint the same in Python."""

    def python(style=None, **options):
        from neuralstyle.schedule import single_scale

        settings = {"size": 48, "iterations": 3, "schedule": single_scale, "progress": False}
        return np.asarray(
            stylize(files / "photo.png", files / "swirl.png" if style is None else style, **{**settings, **options})
        )

    return python


def losses(content=None, style=None, tv=1.0):
    kinds = {"content": ContentLoss, "style": GramStyleLoss}
    terms = []
    for term in DEFAULT_LOSSES:
        loss, weight = term.loss, term.weight
        if isinstance(loss, kinds["content"]) and content:
            loss = ContentLoss(**content)
        if isinstance(loss, kinds["style"]) and style:
            loss = GramStyleLoss(normalization="relative", **style)
        terms.append((weight * tv if isinstance(loss, TotalVariationLoss) else weight) * loss)
    return sum(terms)


def test_content_styles_output(run, python, files, tmp_path):
    assert np.array_equal(run(), python())
    Image.open(files / "photo.png").convert("L").save(tmp_path / "grey.png")
    assert load_image(tmp_path / "grey.png").shape[1] == 3
    # Writability is tested before the work, and JPEG is saved in quality 95.
    assert cli.main(["stylize", str(files / "photo.png"), str(files / "swirl.png"), "-o", "/no/such/folder/o.png"]) == 2
    assert inspect.signature(save_image).parameters["quality"].default == 95
    assert run(styles="swirl.png embers.png").shape == run().shape


def test_iterations(run, files, tmp_path):
    run("--losses OUT/a.csv --iterations 2")
    run("--losses OUT/b.csv --iterations 5")
    assert [len(read_losses(tmp_path / name)) for name in ("a.csv", "b.csv")] == [2, 5]


def test_print_iterations(run):
    run("--print-every 2 --iterations 4")
    lines = [line for line in run.printed.out.splitlines() if "loss" in line]
    assert [int(line.split()[0]) for line in lines] == [2, 4]
    assert all(name in lines[0] for name in ("ContentLoss", "GramStyleLoss", "TotalVariationLoss"))
    run()
    assert "ContentLoss" not in run.printed.out


def test_checkpoint_output_and_iterations(run, python, tmp_path):
    run("--checkpoint OUT/cli-%03d.png --checkpoint-every 2 --iterations 5")
    assert sorted(path.name for path in tmp_path.glob("cli-*")) == ["cli-002.png", "cli-004.png", "cli-005.png"]
    python(iterations=5, callback=SavePictures(tmp_path / "python-{:03d}.png", every=2))
    for number in ("002", "004", "005"):
        assert (tmp_path / f"cli-{number}.png").read_bytes() == (tmp_path / f"python-{number}.png").read_bytes()
    run("--checkpoint-every 2", code=2)
    assert "--checkpoint" in run.printed.err
    run("--checkpoint OUT/all.png", code=2)
    assert "%d" in run.printed.err


def test_progress_write_and_plot(run, python, tmp_path):
    run("--losses OUT/cli.csv --plot OUT/cli.png")
    log = LossLog(tmp_path / "python.csv")
    python(callback=log)
    here, there = read_losses(tmp_path / "cli.csv"), read_losses(log.path)
    assert [row["loss"] for row in here] == [row["loss"] for row in there]
    assert {"ContentLoss", "GramStyleLoss", "TotalVariationLoss"} <= set(here[0])
    plot_losses(log.path, tmp_path / "python.png")
    assert load_image(tmp_path / "cli.png").shape == load_image(tmp_path / "python.png").shape


def test_width(run, python):
    assert run("--width 60", quick="--iterations 2 --schedule single --quiet").shape == (40, 60, 3)
    assert python(size=Width(60)).shape == (40, 60, 3)


def test_style_scales(run, python, files):
    swirl, embers = files / "swirl.png", files / "embers.png"
    changed = run("--style-scales 0.5 1", "swirl.png embers.png")
    assert np.array_equal(changed, python([Style(swirl, scale=0.5), Style(embers)]))
    assert not np.array_equal(changed, run("", "swirl.png embers.png"))


def test_network(run, python, tmp_path):
    encoder = FeatureExtractor("vgg19")
    state = {}
    # A file of torchvision's layout: the numbers of the convolutions in its list of modules.
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    generator = torch.Generator().manual_seed(0)
    for number, convolution in zip(numbers, encoder.convolutions.values(), strict=True):
        fan_in = 9 * convolution.weight.shape[1]
        state[f"features.{number}.weight"] = (
            torch.randn(convolution.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
        )
        state[f"features.{number}.bias"] = torch.zeros(convolution.bias.shape)
    torch.save(state, tmp_path / "vgg.pth")
    painted = run("--weights OUT/vgg.pth --no-normalize")
    network = FeatureExtractor(
        "vgg19", weights=tmp_path / "vgg.pth", normalize=False, pooling="l2", padding="replicate"
    )
    assert np.array_equal(painted, python(encoder=network))
    assert not np.array_equal(painted, run("--no-normalize"))


def test_content_weight_blend(run, python):
    changed = run("--content-layers relu4_2 relu5_2 --content-layer-weights 0.3 0.7")
    blend = {"layers": ("relu4_2", "relu5_2"), "layer_weights": (0.3, 0.7)}
    assert np.array_equal(changed, python(losses=losses(content=blend)))
    assert not np.array_equal(changed, run())
    # The default of 1 is relu4_2 alone.
    alone = run("--content-layers relu4_2 relu5_2 --content-layer-weights 1 0")
    assert np.array_equal(alone, run("--content-layers relu4_2"))


@pytest.mark.parametrize("name", ["content", "style", "tv"])
def test_weights(run, python, name):
    changed = run(f"--{name}-weight 30")
    summed = losses(tv=30) if name == "tv" else losses().scaled(name, 30)
    assert np.array_equal(changed, python(losses=summed))
    plain = run()
    assert np.array_equal(plain, run(f"--{name}-weight 1"))
    content = load_image("photo.png", 48).permute(0, 2, 3, 1)[0].numpy() * 255
    if name == "content":
        assert np.abs(changed - content).mean() < np.abs(plain - content).mean()
    if name == "tv":
        assert (
            np.abs(np.diff(changed.astype(float), axis=0)).mean() < np.abs(np.diff(plain.astype(float), axis=0)).mean()
        )
    if name == "style":
        assert np.abs(changed - content).mean() > np.abs(plain - content).mean()


def test_style_layer_weight_exp(run, python):
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    weights = geometric_weights(layers, 0.5)
    assert weights == pytest.approx([16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31])
    changed = run("--style-layer-ratio 0.5")
    assert np.array_equal(changed, python(losses=losses(style={"layer_weights": weights})))
    assert not np.array_equal(changed, run())


def test_style_blend_weights(run, python, files):
    swirl, embers = files / "swirl.png", files / "embers.png"
    pair = "swirl.png embers.png"
    assert np.array_equal(run("--style-blend-weights 3 1", pair), python([Style(swirl, 0.75), Style(embers, 0.25)]))
    assert np.array_equal(run("--style-blend-weights 1 0", pair), run())
    assert np.array_equal(run("--style-blend-weights 2 2", pair), run("", pair))


def test_learning_rate_and_betas(run, python):
    changed = run("--optimizer adam --learning-rate 0.05 --betas 0.8 0.95 --epsilon 1e-7")
    assert np.array_equal(changed, python(optimizer=Adam(lr=0.05, betas=(0.8, 0.95), eps=1e-7)))
    plain = run("--optimizer adam")
    for option in ("--learning-rate 0.05", "--betas 0.5 0.9", "--epsilon 1"):
        assert not np.array_equal(plain, run(f"--optimizer adam {option}"))
    run("--learning-rate 0.05", code=2)
    assert "--optimizer adam" in run.printed.err


def test_initial_and_noiseblend(run, python, files):
    embers = files / "embers.png"
    assert np.array_equal(run("--init embers.png"), python(init=embers))
    assert np.array_equal(run("--noise-blend 0.4 --seed 2"), python(init=Noise(blend=0.4), seed=2))
    assert np.array_equal(run("--noise-blend 1 --seed 2"), run("--init noise --seed 2"))
    starts = [
        run(),
        run("--init embers.png"),
        run("--noise-blend 0.4"),
        run("--init noise"),
        run("--init noise --seed 3"),
    ]
    for number, start in enumerate(starts):
        assert not any(np.array_equal(start, other) for other in starts[:number])


def test_preserve_colors(run, python, files):
    kept = run("--color luminance")
    assert np.array_equal(kept, python(color="luminance"))

    def chroma(pixels):
        image = pixels if isinstance(pixels, torch.Tensor) else load_image(pixels)
        return rgb_to_oklab(image)[:, 1:]

    content = chroma(load_image(files / "photo.png", 48))
    plain, own = ((chroma(picture) - content).norm(dim=1).mean() for picture in (run(), kept))
    assert own < 0.1 * plain


def test_pooling(run, python, files):
    pictures = []
    for pooling in ("max", "average", "l2"):
        pictures.append(run(f"--pooling {pooling}"))
        encoder = FeatureExtractor("vgg19", pooling=pooling, padding="replicate")
        assert np.array_equal(pictures[-1], python(encoder=encoder))
    assert not np.array_equal(pictures[0], pictures[1])
    with pytest.raises(SystemExit):
        run("--pooling maximum")


def test_overwrite(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(files)
    output = tmp_path / "out.png"
    output.write_bytes(b"mine")
    words = ["stylize", "photo.png", "swirl.png", "-o", str(output), *QUICK.split()]
    assert cli.main(words) == 2
    assert "exists" in capsys.readouterr().err
    assert output.read_bytes() == b"mine"
    assert cli.main([*words, "--overwrite"]) == 0
    assert output.read_bytes() != b"mine"


def test_the_result_is_the_iterate_of_the_lowest_loss(run, python, tmp_path):
    best = python(optimizer=Adam(lr=0.3), iterations=6)
    assert np.array_equal(best, run("--optimizer adam --learning-rate 0.3 --iterations 6 --result best"))
    assert not np.array_equal(best, run("--optimizer adam --learning-rate 0.3 --iterations 6 --result last"))
    assert not np.array_equal(best, run("--optimizer adam --learning-rate 0.3 --iterations 6 --result average"))


def test_stylize_as_a_generator(files, python):
    from neuralstyle.schedule import single_scale

    steps = list(
        iterate(
            stylize,
            files / "photo.png",
            files / "swirl.png",
            size=48,
            iterations=3,
            schedule=single_scale,
            progress=False,
        )
    )
    assert [step.iteration for step in steps] == [1, 2, 3]
    assert np.array_equal(np.asarray(steps[-1].image()), python())


def test_every_row_of_the_page_is_an_option_of_ours(capsys):
    """The page's tables name our options in code; each must be in --help."""
    text = PAGE.read_text(encoding="utf-8")
    named = set(
        re.findall(r"`(--[a-z][a-z-]*)", " ".join(row.split("|")[2] for row in text.splitlines() if row.count("|") > 3))
    )
    known = set()
    for command in ("stylize", "texture", "train", "apply", "export"):
        done = subprocess.run(
            [sys.executable, "-m", "neuralstyle", command, "--help"], capture_output=True, text=True, check=True
        )
        known |= set(re.findall(r"--[a-z][a-z-]*", done.stdout))
    assert len(named) > 35
    assert named <= known
