from __future__ import annotations

import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Darkness, Spy
from PIL import Image
from torch import Tensor

import neuralstyle
from neuralstyle import (
    DEFAULT_LOSSES,
    LBFGS,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    LossSum,
    Noise,
    Objective,
    Stage,
    Style,
    gatys,
    load_image,
    metrics,
    reconstruct_content,
    samples,
    save_image,
    stylize,
    synthesize_texture,
    with_style_loss,
)
from neuralstyle.losses import GhostLoss
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.painting.options import DEFAULTS, StylizeOptions
from neuralstyle.recipes import COMPACT_COST, STRENGTH_RANGE, with_pixel_terms
from neuralstyle.schedule import coarse_to_fine, single_scale

QUICK = {"size": 64, "iterations": 3, "progress": False}
SHALLOW = ContentLoss("relu2_1") + 10 * GramStyleLoss(("relu1_1", "relu2_1"))


@pytest.fixture(scope="module")
def content() -> Image.Image:
    return samples.photo()


@pytest.fixture(scope="module")
def style() -> Image.Image:
    return samples.painting("embers", size=96)


def array(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image)


def test_the_result_is_a_picture_of_the_asked_size_and_the_contents_aspect(
    content: Image.Image, style: Image.Image
) -> None:
    image = stylize(content, style, **QUICK)
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
    assert image.size == (64, round(64 * content.height / content.width))


def test_the_objective_falls_and_the_picture_nears_the_style(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    losses = []
    options = {**QUICK, "iterations": 15}
    image = stylize(content, style, encoder=encoder, callback=lambda p: losses.append(p.loss), **options)
    assert min(losses) < 0.7 * losses[0]
    objective = Objective(encoder, GramStyleLoss(), styles=[style])
    before = objective.evaluate(load_image(content, 64), with_gradient=False).loss
    assert objective.evaluate(load_image(image), with_gradient=False).loss < 0.7 * before


@pytest.mark.parametrize(
    "options", [{}, {"init": "noise"}, {"tile": 32, "losses": SHALLOW}, {"optimizer": Adam()}], ids=str
)
def test_the_same_seed_gives_the_same_bytes(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, options: Any
) -> None:
    first, second = (array(stylize(content, style, encoder=encoder, **QUICK, **options)) for _ in range(2))
    assert np.array_equal(first, second)


def test_another_seed_gives_other_noise(content: Image.Image, style: Image.Image, encoder: FeatureExtractor) -> None:
    images = [array(stylize(content, style, encoder=encoder, init="noise", seed=s, **QUICK)) for s in (0, 1)]
    assert not np.array_equal(*images)


def test_tiles_give_the_same_picture(content: Image.Image, style: Image.Image, encoder: FeatureExtractor) -> None:
    options = {**QUICK, "size": 96, "losses": SHALLOW, "encoder": encoder}
    whole, tiled = (array(stylize(content, style, **options, tile=tile)).astype(int) for tile in (None, 32))
    assert abs(whole - tiled).max() <= 2


def test_all_kinds_of_pictures_are_taken(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, tmp_path: Path
) -> None:
    content.save(tmp_path / "c.png")
    kinds = [tmp_path / "c.png", str(tmp_path / "c.png"), content, array(content), load_image(content)]
    options = {**QUICK, "losses": SHALLOW, "encoder": encoder}
    results = [array(stylize(kind, load_image(style)[0], **options)) for kind in kinds]
    assert all(np.array_equal(results[0], result) for result in results[1:])


def test_a_custom_loss_of_five_lines_changes_the_picture(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    plain = array(stylize(content, style, encoder=encoder, losses=SHALLOW, **QUICK))
    dark = array(stylize(content, style, encoder=encoder, losses=SHALLOW + 1e3 * Darkness(), **QUICK))
    assert dark.mean() < 0.8 * plain.mean()


def test_a_users_torch_optimizer_works(content: Image.Image, style: Image.Image, encoder: FeatureExtractor) -> None:
    losses = []
    stylize(
        content,
        style,
        encoder=encoder,
        optimizer=lambda x: torch.optim.RMSprop([x], lr=0.01),
        callback=lambda p: losses.append(p.loss),
        **QUICK,
    )
    assert losses[-1] < losses[0]


def test_blending_takes_every_style_and_weight_zero_takes_none(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    other = samples.painting("woodcut", size=96)
    alone = array(stylize(content, style, encoder=encoder, **QUICK))
    assert np.array_equal(alone, array(stylize(content, [style, Style(other, weight=0)], encoder=encoder, **QUICK)))
    assert not np.array_equal(alone, array(stylize(content, [style, other], encoder=encoder, **QUICK)))


def first_terms(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, **options: Any
) -> dict[str, float]:
    terms = []
    stylize(content, style, encoder=encoder, init="noise", callback=lambda p: terms.append(p.terms), **QUICK, **options)
    return terms[0]


def test_scaled_losses_change_the_terms_that_compare_with_that_reference(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    losses = DEFAULT_LOSSES.scaled("content", 2).scaled("style", 0.5)
    plain, weighted = first_terms(content, style, encoder), first_terms(content, style, encoder, losses=losses)
    assert weighted["ContentLoss"] == pytest.approx(2 * plain["ContentLoss"])
    assert weighted["WassersteinLoss"] == pytest.approx(0.5 * plain["WassersteinLoss"])
    assert weighted["GhostLoss"] == pytest.approx(2 * plain["GhostLoss"])
    assert weighted["TotalVariationLoss"] == pytest.approx(plain["TotalVariationLoss"])


def test_the_default_keeps_the_paintings_things_out_of_an_empty_sky() -> None:
    sky = torch.linspace(0.5, 0.9, 96).view(1, -1, 1).expand(3, -1, 128).clone()
    sky[:, 72:] = torch.rand(3, 24, 128, generator=torch.Generator().manual_seed(0))
    painting = samples.painting("swirl", size=128)
    without = LossSum(tuple(term for term in DEFAULT_LOSSES if not isinstance(term.loss, GhostLoss)))
    pictures = [
        stylize(sky, painting, size=128, losses=losses, schedule="preview", progress=False)
        for losses in (DEFAULT_LOSSES, without)
    ]
    fewer, many = (metrics.ghost_contrast(picture, painting, sky) for picture in pictures)
    assert many > 0.02
    assert fewer < 0.75 * many


def test_strength_is_a_dial_from_the_content_to_the_style() -> None:
    content, style = samples.photo(), samples.painting("swirl", size=96)
    strengths = (0, 0.4, 0.8)
    pictures = [
        stylize(content, style, strength=s, size=64, iterations=24, schedule=single_scale, progress=False)
        for s in strengths
    ]
    style_distances = [metrics.style_distance(picture, style) for picture in pictures]
    structures = [metrics.structure(picture, content) for picture in pictures]
    assert style_distances == sorted(style_distances, reverse=True)
    assert structures == sorted(structures, reverse=True)
    assert style_distances[0] > 2 * style_distances[-1]
    assert structures[0] > 0.97


def test_strength_multiplies_both_sides(content: Image.Image, style: Image.Image, encoder: FeatureExtractor) -> None:
    def first(**options):
        return first_terms(content, style, encoder, **options)

    factor = 10 ** (STRENGTH_RANGE / 4)
    scaled = DEFAULT_LOSSES.scaled("content", 2 / factor).scaled("style", 3 * factor)
    dialled = first(losses=DEFAULT_LOSSES.scaled("content", 2).scaled("style", 3), strength=0.75)
    assert dialled == pytest.approx(first(losses=scaled))
    assert first(strength=0.5) == first()


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "high", True, None])
def test_strength_is_checked_before_the_work(content: Image.Image, style: Image.Image, strength: Any) -> None:
    with pytest.raises(ValueError, match=r"strength is a number from 0 .* received"):
        stylize(content, style, strength=strength)


def test_progress_counts_over_all_stages(content: Image.Image, style: Image.Image, encoder: FeatureExtractor) -> None:
    seen = []

    def schedule(size, iterations):
        return [Stage(32, 2), Stage(size, iterations)]

    image = stylize(content, style, encoder=encoder, callback=seen.append, schedule=schedule, **QUICK)
    assert [p.iteration for p in seen] == [1, 2, 3, 4, 5]
    assert [(p.stage, p.size) for p in seen] == [(1, 32)] * 2 + [(2, 64)] * 3
    assert {(p.total, p.stages) for p in seen} == {(5, 2)}
    assert seen[-1].elapsed >= seen[0].elapsed >= 0
    assert seen[1].left > seen[3].left > seen[-1].left == 0
    assert seen[-1].loss == pytest.approx(sum(seen[-1].terms.values()))
    assert seen[0].image().size[0] == 32
    assert np.array_equal(array(seen[-1].image()), array(image))


def test_a_stage_looks_through_an_encoder_of_its_own(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    rough, other = Spy(encoder), Spy(FeatureExtractor(pooling="average"))
    images = [
        stylize(
            content,
            style,
            encoder=encoder,
            schedule=lambda size, iterations, first=first: [Stage(32, 2, first), Stage(size, iterations)],
            **QUICK,
        )
        for first in (None, encoder, rough, other)
    ]
    tried = 3 * max(encoder.layers[layer].stride for term in DEFAULT_LOSSES for layer in term.loss.layers)
    assert rough.sides == other.sides == {32, tried}  # the latter when the plan is made
    assert images[0].tobytes() == images[1].tobytes()
    plain, same, different = (array(image).astype(int) for image in (images[0], *images[2:]))
    assert np.abs(same - plain).max() <= 2 < np.abs(different - plain).max()


def test_the_encoder_of_each_stage_is_checked_before_the_work(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    blind = Spy(encoder, {"image": encoder.layers["image"]})
    with pytest.raises(ValueError, match="spy"):
        stylize(
            content,
            style,
            encoder=encoder,
            schedule=[Stage(64, 3), Stage(64, 1, blind)],
            callback=lambda progress: pytest.fail("work has begun"),
            **QUICK,
        )


def stop_by_false(progress: neuralstyle.Progress) -> bool:
    return progress.iteration < 2


def stop_by_exception(progress: neuralstyle.Progress) -> None:
    if progress.iteration == 2:
        raise StopIteration


@pytest.mark.parametrize("callback", [stop_by_false, stop_by_exception])
def test_the_callback_stops_and_the_best_so_far_is_returned_at_full_size(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, callback: Any
) -> None:
    counts = []

    def counting(progress):
        counts.append(progress.iteration)
        return callback(progress)

    image = stylize(content, style, encoder=encoder, size=200, iterations=5, callback=counting, progress=False)
    assert counts == [1, 2]
    assert max(image.size) == 200


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_exception_midway_carries_the_best_picture_so_far(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, kind: Any
) -> None:
    def fail(progress):
        if progress.iteration == 2:
            raise kind("stop")

    with pytest.raises(kind) as caught:
        stylize(content, style, encoder=encoder, callback=fail, **QUICK)
    assert caught.value.image.size[0] == 64


def test_a_loss_that_turns_nan_is_named_and_the_last_good_picture_kept(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    class Fragile(Loss):
        layers = ("image",)
        reference = "content"

        def forward(self, x, target):
            return (1 - 1e9 * (x - target).square().mean()).sqrt()

    with pytest.raises(FloatingPointError, match="Fragile") as caught:
        stylize(content, style, encoder=encoder, losses=SHALLOW + 0.0 * GramStyleLoss() + Fragile(), **QUICK)
    assert np.array_equal(array(caught.value.image), array(neuralstyle.images.to_pil(load_image(content, 64))))


def test_the_saved_file_has_the_objective_that_the_optimizer_reported(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, tmp_path: Path
) -> None:
    losses = []
    image = stylize(
        content, style, encoder=encoder, size=80, iterations=10, callback=lambda p: losses.append(p), progress=False
    )
    saved = load_image(save_image(image, tmp_path / "out.png"))
    target = neuralstyle.images.resize_image(load_image(content), tuple(saved.shape[2:]))
    objective = Objective(encoder, DEFAULT_LOSSES, content=target, styles=[load_image(style, 80)])
    reported = min(p.loss for p in losses)
    assert objective.evaluate(saved, with_gradient=False).loss == pytest.approx(reported, rel=0.1)


@pytest.mark.parametrize("color", ["luminance", "match", "histogram"])
def test_the_contents_colours_are_kept(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, color: Any
) -> None:
    def colours(image):
        return array(image).reshape(-1, 3).mean(0)

    options = {**QUICK, "iterations": 8, "encoder": encoder}
    kept, taken = (colours(stylize(content, style, color=mode, **options)) for mode in (color, "style"))
    original = colours(content)
    assert abs(kept - original).max() < 0.5 * abs(taken - original).max()


@pytest.mark.parametrize("init", ["content", "noise", "style", "picture"])
def test_the_start_is_what_init_says(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, init: Any
) -> None:
    picture = samples.painting("mosaic", size=64)
    start = []

    def keep(progress):
        start.append(progress.image())
        return False

    stylize(content, style, encoder=encoder, init=picture if init == "picture" else init, callback=keep, **QUICK)
    expected = {"content": content, "style": style, "picture": picture}.get(init)
    mean = array(start[0]).mean((0, 1))
    assert np.allclose(mean, 127.5 if expected is None else array(expected).mean((0, 1)), atol=6)


def first_picture(*arguments: Any, **options: Any) -> Tensor:
    """The picture that a run starts from, which is the first that it evaluates."""
    start = []
    stylize(*arguments, callback=lambda progress: start.append(progress.tensor()) or False, **QUICK, **options)
    return start[0]


def test_the_start_may_be_blended_with_noise_of_any_kind(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    options = {"encoder": encoder, "losses": SHALLOW, "seed": 7}
    picture, grain = (first_picture(content, style, init=i, **options) for i in ("content", Noise("style")))
    blend = first_picture(content, style, init=Noise("style", blend=0.3), **options)
    assert torch.allclose(blend, 0.7 * picture + 0.3 * grain, atol=1e-6)
    assert torch.allclose(grain.mean((0, 2, 3)), load_image(style).mean((0, 2, 3)), atol=0.06)


def test_the_start_may_be_a_function_of_the_content(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    negative = first_picture(content, style, encoder=encoder, losses=SHALLOW, init=lambda picture: 1 - picture)
    assert torch.allclose(negative, 1 - first_picture(content, style, encoder=encoder, losses=SHALLOW), atol=0.02)


def test_the_best_picture_the_last_and_the_average_are_three(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    # Steps so long that the last picture is hardly the best.
    options = {"encoder": encoder, "losses": SHALLOW, "optimizer": Adam(lr=0.3), "size": 64, "iterations": 12}
    losses, images = [], {}
    for result in ("best", "last", "average"):
        images[result] = stylize(
            content, style, result=result, callback=lambda p: losses.append(p.loss), progress=False, **options
        )
    assert losses[:12] == losses[12:24] == losses[24:]  # the way is the same
    objective = Objective(
        encoder, SHALLOW, content=neuralstyle.images.resize_image(load_image(content), (43, 64)), styles=[style]
    )
    found = {name: objective.evaluate(load_image(image), with_gradient=False).loss for name, image in images.items()}
    assert found["best"] == pytest.approx(min(losses), rel=0.05)
    assert found["average"] != pytest.approx(found["best"], rel=0.05)
    assert found["last"] > 1.05 * found["best"]


def test_a_style_is_never_blown_up_beyond_its_own_pixels(
    content: Image.Image, encoder: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "neuralstyle.painting.stages.Objective",
        lambda *a, styles, **k: seen.append(styles) or Objective(*a, styles=styles, **k),
    )
    small = samples.painting("mosaic", size=64)
    with pytest.warns(UserWarning, match="the scale of a style is 1 and not 3: its picture has 64 pixels"):
        stylize(content, [Style(small, scale=3), Style(small, scale=0.5)], encoder=encoder, **QUICK)
    assert [max(style.image.shape) for style in seen[0]] == [64, 32]


def test_texture_synthesis_nears_the_styles_statistics_and_may_be_oblong(
    style: Image.Image, encoder: FeatureExtractor
) -> None:
    losses = []
    image = synthesize_texture(
        style, losses=GramStyleLoss(("relu1_1", "relu2_1")), size=(48, 80), iterations=12, encoder=encoder,
        callback=lambda p: losses.append(p.loss), progress=False,
    )  # fmt: skip
    assert image.size == (80, 48)
    assert min(losses) < 0.1 * losses[0]


def test_content_reconstruction_gives_a_shallow_layer_back_and_a_deep_one_less(
    content: Image.Image, encoder: FeatureExtractor
) -> None:
    reference = array(content.resize((64, 43), Image.Resampling.BICUBIC)).astype(float)

    def error(layer):
        image = reconstruct_content(content, layer, encoder=encoder, size=64, iterations=30, progress=False)
        return abs(array(image) - reference).mean()

    assert 1.5 * error("relu1_1") < error("relu4_1")


def test_gatys_is_the_papers_objective(content: Image.Image, style: Image.Image) -> None:
    recipe = gatys(alpha=1, beta=1e4)
    encoder = recipe["encoder"]
    assert (encoder.pooling, encoder.normalize, recipe["init"]) == ("average", True, "noise")
    assert recipe["schedule"](64, 5) == [Stage(64, 5)]
    # In whole cells: those that a border cuts count by their area here, and not at all in the paper.
    sizes = ((48, 64), (64, 80), (48, 64))
    pictures = (content, style, samples.painting("woodcut", size=96))
    p, a, x = (
        neuralstyle.images.resize_image(load_image(picture), size)
        for picture, size in zip(pictures, sizes, strict=True)
    )
    layers = [f"relu{block}_1" for block in range(1, 6)]
    F, P, S = (encoder(image, [*layers, "relu4_2"]) for image in (x, p, a))
    expected = 0.5 * (F["relu4_2"] - P["relu4_2"]).double().square().sum()
    for layer in layers:
        f, s = F[layer].double().flatten(2)[0], S[layer].double().flatten(2)[0]
        n, m = f.shape
        # Pictures of two sizes: the style's Gram matrix is brought to the result's number of positions.
        gram = s @ s.T * (m / s.shape[1])
        expected += 1e4 / 5 * (f @ f.T - gram).square().sum() / (4 * n**2 * m**2)
    objective = Objective(encoder, recipe["losses"], content=p, styles=[a])
    assert objective.evaluate(x, with_gradient=False).loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"content": "missing.jpg"}, FileNotFoundError, "missing.jpg"),
        ({"style": "missing.jpg"}, FileNotFoundError, "missing.jpg"),
        ({"style": []}, ValueError, "style"),
        ({"style": [Style(np.zeros((32, 32, 3)), weight=0)]}, ValueError, "weights"),
        ({"size": -5}, ValueError, "size"),
        ({"size": 64.0}, ValueError, "size"),
        ({"iterations": 0}, ValueError, "iterations"),
        ({"tile": 7}, ValueError, "tile"),
        ({"init": "contents"}, ValueError, "did you mean 'content'"),
        ({"result": "averages"}, ValueError, "did you mean 'average'"),
        ({"iterations": True}, ValueError, "iterations is a whole number of at least 1, received True"),
        ({"seed": "1"}, ValueError, "seed"),
        ({"optimizer": 7}, TypeError, r"LBFGS\(\), Adam\(\)"),
        ({"optimizer": "adan"}, ValueError, "unknown optimizer 'adan': did you mean 'adam'"),
        ({"optimizer": torch.optim.Adam}, TypeError, r"lambda x: torch\.optim\.Adam\(\[x\], lr=0\.02\)"),
        ({"optimizer": Adam}, TypeError, r"an optimizer is an object, received the class; give Adam\(\)"),
        ({"state": "missing/run.state"}, FileNotFoundError, "missing"),
        ({"state": 7}, TypeError, "state is a path or a StateFile, received 7"),
        ({"color": "luminanz"}, ValueError, "did you mean 'luminance'"),
        ({"encoder": "vgg18"}, ValueError, "vgg19"),
        ({"encoder": torch.nn.Conv2d(3, 8, 3)}, TypeError, r"Conv2d is a network and .* ModuleExtractor\(network\)"),
        ({"schedule": "draught"}, ValueError, "did you mean 'draft'"),
        ({"schedule": []}, ValueError, r"a schedule gives a list such as \[Stage.*, received an empty one"),
        ({"schedule": 7}, TypeError, r"a schedule gives a list such as \[Stage.*, received 7"),
        ({"schedule": [64]}, TypeError, "received an entry 64"),
        ({"schedule": lambda *_: [Stage(48, 1)]}, ValueError, "received 48; change the last stage, or ask for size=48"),
        ({"schedule": [Stage(64, 1, losses=lambda losses: 2)]}, TypeError, "losses of a stage of 64 pixels are a loss"),
        ({"losses": ContentLoss("relu4_9")}, ValueError, "did you mean 'relu4"),
        ({"content": torch.full((1, 3, 64, 64), math.nan)}, ValueError, "NaN|nan|finite"),
        ({"content": np.zeros((3, 3, 3), np.uint8)}, ValueError, "16"),
        ({"device": "cuda:99"}, ValueError, "cuda:99"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_input_is_named_before_any_work(
    content: Image.Image,
    style: Image.Image,
    encoder: FeatureExtractor,
    changes: Any,
    error: type[Exception],
    message: str,
) -> None:
    def worked(progress):
        pytest.fail("work was done")

    options = {"content": content, "style": style, "encoder": encoder, **QUICK, **changes}
    with pytest.raises(error, match=message):
        stylize(options.pop("content"), options.pop("style"), callback=worked, **options)


def test_a_texture_cannot_compare_with_a_content(style: Image.Image, encoder: FeatureExtractor) -> None:
    with pytest.raises(ValueError, match="ContentLoss compares with the content"):
        synthesize_texture(style, losses=SHALLOW, encoder=encoder, **QUICK)


def test_a_picture_of_one_colour_is_painted(style: Image.Image) -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert array(stylize(grey, style, size=64, iterations=12, progress=False)).std() > 20


def test_a_long_strip_skips_the_stages_at_which_it_would_vanish(style: Image.Image, encoder: FeatureExtractor) -> None:
    strip = np.random.default_rng(0).integers(0, 255, (40, 400, 3), dtype=np.uint8)
    sizes = []
    image = stylize(
        strip, style, encoder=encoder, size=240, iterations=1, callback=lambda p: sizes.append(p.size), progress=False
    )
    assert image.size == (240, 24)
    assert set(sizes) == {240}


def test_a_long_strip_and_shallow_layers_skip_the_stages_under_16_pixels(
    style: Image.Image, encoder: FeatureExtractor
) -> None:
    strip = np.random.default_rng(0).integers(0, 255, (40, 400, 3), dtype=np.uint8)
    sizes = []
    options = {"encoder": encoder, "losses": SHALLOW, "size": 200, "iterations": 1, "progress": False}
    image = stylize(strip, style, callback=lambda p: sizes.append(p.size), **options)
    assert image.size == (200, 20)
    assert set(sizes) == {200}


@pytest.mark.parametrize(("size", "expected"), [(64, [64]), (256, [128, 256]), (800, [100, 200, 400, 800])])
def test_coarse_to_fine_halves_the_size(size: Any, expected: list[int]) -> None:
    stages = coarse_to_fine(size, 10)
    assert [stage.size for stage in stages] == expected
    assert [stage.iterations for stage in stages] == [10] * len(expected)


def test_a_single_scale_has_one_stage() -> None:
    assert single_scale(800, 7) == [Stage(800, 7)]


def test_a_bar_shows_the_stage_and_the_loss_on_stderr_only(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor, capsys: pytest.CaptureFixture[str]
) -> None:
    stylize(content, style, encoder=encoder, size=64, iterations=2)
    printed = capsys.readouterr()
    assert "64 px vgg19" in printed.err
    assert "loss" in printed.err
    assert printed.out == ""
    stylize(content, style, encoder=encoder, **QUICK)
    assert capsys.readouterr().err == ""


# --- plan and paint


@pytest.fixture
def small_plan(content: Image.Image, style: Image.Image) -> neuralstyle.Plan:
    return neuralstyle.plan(content, style, size=64, iterations=2, init="noise", progress=False)


def test_a_plan_says_what_is_going_to_be_done(
    small_plan: neuralstyle.Plan, content: Image.Image, style: Image.Image
) -> None:
    def minimised(losses: LossSum) -> str:
        return " + ".join(f"{term.weight:g} {type(term.loss).__name__}" for term in losses)

    lines = str(small_plan).splitlines()
    assert lines[0].split() == ["stage", "pixels", "iterations", "through", "by", "minimises"]
    assert lines[1] == f"1      64 x 43  2           compact19  LBFGS          {minimised(DEFAULT_LOSSES)}"
    assert lines[2].startswith("2      64 x 43  2           compact19  Adam, average  ")
    assert lines[3].endswith(f"vgg19      Adam, average  {minimised(DEFAULT_LOSSES)}")
    assert len(lines) == 4
    assert repr(small_plan) == "<Plan of 3 stages, the last of 64 x 43 pixels>"
    *_, whole, grain, end = str(neuralstyle.plan(content, style, size=2048, init="content")).splitlines()
    assert "1 ContentLoss + " in whole
    assert all("1 ContentLoss (relu2_1) + " in line for line in (grain, end))
    gram = with_style_loss(DEFAULT_LOSSES, "gram")
    _, first, _, last = str(neuralstyle.plan(content, style, losses=gram, size=64, iterations=2)).splitlines()
    assert first.endswith(f"compact19  LBFGS          {minimised(with_pixel_terms(gram))}")
    assert last.endswith(f"vgg19      Adam, average  {minimised(gram)}")
    assert [(stage.height, stage.width, stage.iterations, stage.cost) for stage in small_plan.stages] == [
        (43, 64, 2, COMPACT_COST),
        (43, 64, 2, COMPACT_COST),
        (43, 64, 2, 1.0),
    ]


def test_a_plan_is_painted_to_the_same_bytes_each_time(
    content: Image.Image, style: Image.Image, small_plan: neuralstyle.Plan
) -> None:
    first, second = (neuralstyle.paint(small_plan).tobytes() for _ in range(2))
    assert first == second == stylize(content, style, size=64, iterations=2, init="noise", progress=False).tobytes()


def test_a_plan_cannot_be_changed(small_plan: neuralstyle.Plan) -> None:
    with pytest.raises(AttributeError):
        small_plan.tile = 32


def test_a_plan_begins_nothing(content: Image.Image, style: Image.Image, tmp_path: Path) -> None:
    state = tmp_path / "run.state"
    planned = neuralstyle.plan(content, style, size=64, state=state, callback=lambda progress: pytest.fail("begun"))
    str(planned)
    planned.estimate()
    assert list(tmp_path.iterdir()) == []


def test_a_plan_can_be_painted_step_by_step_and_its_own_callbacks_are_called(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    counts = []
    planned = neuralstyle.plan(content, style, encoder=encoder, callback=lambda p: counts.append(p.iteration), **QUICK)
    assert [progress.iteration for progress in neuralstyle.iterate(neuralstyle.paint, planned)] == counts == [1, 2, 3]


def test_an_unknown_option_of_a_plan_is_named(content: Image.Image, style: Image.Image) -> None:
    with pytest.raises(TypeError, match="unknown option 'tyle': did you mean 'tile'"):
        neuralstyle.plan(content, style, tyle=32)


def test_a_plan_has_the_defaults_of_stylize() -> None:
    parameters = inspect.signature(stylize).parameters.values()
    assert {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} == DEFAULTS
    assert set(DEFAULTS) == StylizeOptions.__optional_keys__
    assert len(inspect.signature(stylize).parameters) <= 20


def test_an_estimate_grows_with_the_work_and_falls_with_the_tile(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    def estimate(**options):
        return neuralstyle.plan(content, style, encoder=encoder, **{**QUICK, "losses": SHALLOW, **options}).estimate()

    short, long = estimate(size=256, iterations=1), estimate(size=256, iterations=99)
    assert 0 < 5 * short.seconds < long.seconds
    assert short.bytes == pytest.approx(long.bytes, rel=0.01)
    options = {"size": 1024, "iterations": 1, "schedule": "single", "optimizer": "adam"}
    whole, tiled = estimate(**options), estimate(tile=256, **options)
    assert tiled.bytes < 0.5 * whole.bytes
    assert whole.bytes > 1024 * 683 * 64 * 4  # the features of relu1_1 alone
    assert str(whole).startswith("about ")


def test_the_memory_of_an_evaluation_is_about_as_estimated(
    content: Image.Image, style: Image.Image, encoder: FeatureExtractor
) -> None:
    planned = neuralstyle.plan(
        content, style, encoder=encoder, optimizer="adam", **{**QUICK, "size": 256, "schedule": "single"}
    )
    (stage,) = planned.stages
    objective = stage.objective(planned.content, planned.styles, None)
    peak = peak_memory(planned.start.device, lambda: objective.evaluate(planned.start))
    assert planned.estimate().bytes == pytest.approx(peak, rel=0.3)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            lambda: {"losses": GramStyleLoss("relu3_3")},
            "compact19 has no layer 'relu3_3', which GramStyleLoss names",
        ),
        (lambda: {"encoder": FeatureExtractor()}, "painting through vgg19 alone, the encoder that was given"),
        (lambda: {"schedule": [Stage(64, 3)]}, "iterations=2 is left out: a list of stages says how many"),
        (
            lambda: {"schedule": [Stage(20, 1), Stage(64, 2)]},
            "left out: a stage of 20 x 13 pixels, as its losses need 16",
        ),
    ],
    ids=["a layer", "an encoder", "iterations", "a small stage"],
)
def test_what_is_not_as_its_name_says_is_said_once(
    content: Image.Image,
    style: Image.Image,
    options: Any,
    note: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="neuralstyle")
    stylize(content, style, **{"size": 64, "iterations": 2, "losses": SHALLOW, **options()})
    assert note in "".join(caplog.messages)
    assert capsys.readouterr().err.count(note) == 1


def test_a_schedule_that_needs_no_note_has_none(content: Image.Image, style: Image.Image) -> None:
    for schedule in ("preview", "draft", "standard", "fine", "single"):
        assert neuralstyle.plan(content, style, size=64, schedule=schedule).notes == ()
    assert neuralstyle.plan(content, style, size=64, schedule="single", encoder="compact19").notes == ()


def test_an_optimizer_may_be_named(content: Image.Image, style: Image.Image, encoder: FeatureExtractor) -> None:
    options = {**QUICK, "encoder": encoder, "losses": SHALLOW}
    assert stylize(content, style, optimizer="adam", **options).tobytes() == (
        stylize(content, style, optimizer=Adam(), **options).tobytes()
    )
    (stage,) = neuralstyle.plan(content, style, optimizer="lbfgs", **options).stages
    assert stage.optimizer == LBFGS()


def test_the_options_of_stylize_can_be_read_without_torch() -> None:
    code = (
        "import inspect, sys, types\n"
        f"package = types.ModuleType('neuralstyle'); package.__path__ = [{str(Path(neuralstyle.__file__).parent)!r}]\n"
        "sys.modules['neuralstyle'] = package\n"
        "from neuralstyle.painting import initial, iterate, options, stylize\n"
        "assert inspect.signature(stylize.stylize).parameters['size'].default == 512\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_cpus_picture(content: Image.Image, style: Image.Image) -> None:
    images = [array(stylize(content, style, device=device, **QUICK)).astype(int) for device in ("cpu", "cuda")]
    assert abs(images[0] - images[1]).mean() < 2
