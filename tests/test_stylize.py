import math

import numpy as np
import pytest
import torch
from PIL import Image

import neuralstyle
from neuralstyle import (
    DEFAULT_LOSSES,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    Objective,
    Scale,
    Style,
    coarse_to_fine,
    gatys,
    load_image,
    metrics,
    reconstruct_content,
    samples,
    save_image,
    single_scale,
    stylize,
    synthesize_texture,
)

QUICK = {"size": 64, "iterations": 3, "progress": False}
SHALLOW = ContentLoss("relu2_1") + 10 * GramStyleLoss(("relu1_1", "relu2_1"))


@pytest.fixture(scope="module")
def content():
    return samples.photo()


@pytest.fixture(scope="module")
def style():
    return samples.painting("embers", size=96)


def array(image):
    return np.asarray(image)


def test_the_result_is_a_picture_of_the_asked_size_and_the_contents_aspect(content, style):
    image = stylize(content, style, **QUICK)
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
    assert image.size == (64, round(64 * content.height / content.width))


def test_the_objective_falls_and_the_picture_nears_the_style(content, style, encoder):
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
def test_the_same_seed_gives_the_same_bytes(content, style, encoder, options):
    first, second = (array(stylize(content, style, encoder=encoder, **QUICK, **options)) for _ in range(2))
    assert np.array_equal(first, second)


def test_another_seed_gives_other_noise(content, style, encoder):
    images = [array(stylize(content, style, encoder=encoder, init="noise", seed=s, **QUICK)) for s in (0, 1)]
    assert not np.array_equal(*images)


def test_tiles_give_the_same_picture(content, style, encoder):
    options = {**QUICK, "size": 96, "losses": SHALLOW, "encoder": encoder}
    whole, tiled = (array(stylize(content, style, **options, tile=tile)).astype(int) for tile in (None, 32))
    assert abs(whole - tiled).max() <= 2


def test_all_kinds_of_pictures_are_taken(content, style, encoder, tmp_path):
    content.save(tmp_path / "c.png")
    kinds = [tmp_path / "c.png", str(tmp_path / "c.png"), content, array(content), load_image(content)]
    options = {**QUICK, "losses": SHALLOW, "encoder": encoder}
    results = [array(stylize(kind, load_image(style)[0], **options)) for kind in kinds]
    assert all(np.array_equal(results[0], result) for result in results[1:])


def test_a_custom_loss_of_five_lines_changes_the_picture(content, style, encoder):
    class Darkness(Loss):
        layers = ("image",)
        reference = None

        def forward(self, x, target):
            return x.square().mean()

    plain = array(stylize(content, style, encoder=encoder, losses=SHALLOW, **QUICK))
    dark = array(stylize(content, style, encoder=encoder, losses=SHALLOW + 1e3 * Darkness(), **QUICK))
    assert dark.mean() < 0.8 * plain.mean()


def test_a_users_torch_optimizer_works(content, style, encoder):
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


def test_blending_takes_every_style_and_weight_zero_takes_none(content, style, encoder):
    other = samples.painting("woodcut", size=96)
    alone = array(stylize(content, style, encoder=encoder, **QUICK))
    assert np.array_equal(alone, array(stylize(content, [style, Style(other, weight=0)], encoder=encoder, **QUICK)))
    assert not np.array_equal(alone, array(stylize(content, [style, other], encoder=encoder, **QUICK)))


def test_weights_scale_the_terms_that_compare_with_that_reference(content, style, encoder):
    def first_terms(**weights):
        terms = []
        stylize(
            content, style, encoder=encoder, init="noise", callback=lambda p: terms.append(p.terms), **QUICK, **weights
        )
        return terms[0]

    plain, weighted = first_terms(), first_terms(content_weight=2.0, style_weight=0.5)
    assert weighted["ContentLoss"] == pytest.approx(2 * plain["ContentLoss"])
    assert weighted["GramStyleLoss"] == pytest.approx(0.5 * plain["GramStyleLoss"])
    assert weighted["TotalVariationLoss"] == pytest.approx(plain["TotalVariationLoss"])


def test_strength_is_a_dial_from_the_content_to_the_style():
    content, style = samples.photo(), samples.painting("swirl", size=96)
    strengths = (0, 0.4, 0.8)
    pictures = [
        stylize(content, style, strength=s, size=64, iterations=30, schedule=single_scale, progress=False)
        for s in strengths
    ]
    style_distances = [metrics.style_distance(picture, style) for picture in pictures]
    structures = [metrics.structure(picture, content) for picture in pictures]
    assert style_distances == sorted(style_distances, reverse=True)
    assert structures == sorted(structures, reverse=True)
    assert style_distances[0] > 2 * style_distances[-1]
    assert structures[0] > 0.97


def test_strength_multiplies_both_weights(content, style, encoder):
    def first_terms(**options):
        terms = []
        stylize(
            content, style, encoder=encoder, init="noise", callback=lambda p: terms.append(p.terms), **QUICK, **options
        )
        return terms[0]

    dialled = first_terms(strength=0.75, content_weight=2.0, style_weight=3.0)
    weighted = first_terms(content_weight=2 * 10**-0.5, style_weight=3 * 10**0.5)
    assert dialled == pytest.approx(weighted)
    assert first_terms(strength=0.5) == first_terms()


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "high", True, None])
def test_strength_is_checked_before_the_work(content, style, strength):
    with pytest.raises(ValueError, match=r"strength is a number from 0 .* received"):
        stylize(content, style, strength=strength)


def test_progress_counts_over_all_scales(content, style, encoder):
    seen = []

    def schedule(size, iterations):
        return [Scale(32, 2), Scale(size, iterations)]

    image = stylize(content, style, encoder=encoder, callback=seen.append, schedule=schedule, **QUICK)
    assert [p.iteration for p in seen] == [1, 2, 3, 4, 5]
    assert [(p.scale, p.size) for p in seen] == [(1, 32)] * 2 + [(2, 64)] * 3
    assert {(p.total, p.scales) for p in seen} == {(5, 2)}
    assert seen[-1].elapsed >= seen[0].elapsed >= 0
    assert seen[-1].loss == pytest.approx(sum(seen[-1].terms.values()))
    assert seen[0].image().size[0] == 32
    assert np.array_equal(array(seen[-1].image()), array(image))


class Spy:
    """An encoder that remembers the longest sides of what it has looked at."""

    name = "spy"

    def __init__(self, encoder, layers=None):
        self.encoder, self.layers, self.seen = encoder, encoder.layers if layers is None else layers, set()

    def __call__(self, image, layers):
        self.seen.add(max(image.shape[2:]))
        return self.encoder(image, layers)


def test_a_stage_looks_through_an_encoder_of_its_own(content, style, encoder):
    rough, other = Spy(encoder), Spy(FeatureExtractor(pooling="average"))
    images = [
        stylize(
            content,
            style,
            encoder=encoder,
            schedule=lambda size, iterations, first=first: [Scale(32, 2, first), Scale(size, iterations)],
            **QUICK,
        )
        for first in (None, encoder, rough, other)
    ]
    assert rough.seen == other.seen == {32}
    assert images[0].tobytes() == images[1].tobytes()
    plain, same, different = (array(image).astype(int) for image in (images[0], *images[2:]))
    assert np.abs(same - plain).max() <= 2 < np.abs(different - plain).max()


def test_the_encoder_of_each_stage_is_checked_before_the_work(content, style, encoder):
    blind = Spy(encoder, {"image": encoder.layers["image"]})
    with pytest.raises(ValueError, match="spy"):
        stylize(
            content,
            style,
            encoder=encoder,
            schedule=lambda size, iterations: [Scale(size, iterations), Scale(size, 1, blind)],
            callback=lambda progress: pytest.fail("work has begun"),
            **QUICK,
        )


def stop_by_false(progress):
    return progress.iteration < 2


def stop_by_exception(progress):
    if progress.iteration == 2:
        raise StopIteration


@pytest.mark.parametrize("callback", [stop_by_false, stop_by_exception])
def test_the_callback_stops_and_the_best_so_far_is_returned_at_full_size(content, style, encoder, callback):
    counts = []

    def counting(progress):
        counts.append(progress.iteration)
        return callback(progress)

    image = stylize(content, style, encoder=encoder, size=200, iterations=5, callback=counting, progress=False)
    assert counts == [1, 2]
    assert max(image.size) == 200


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_exception_midway_carries_the_best_picture_so_far(content, style, encoder, kind):
    def fail(progress):
        if progress.iteration == 2:
            raise kind("stop")

    with pytest.raises(kind) as caught:
        stylize(content, style, encoder=encoder, callback=fail, **QUICK)
    assert caught.value.image.size[0] == 64


def test_a_loss_that_turns_nan_is_named_and_the_last_good_picture_kept(content, style, encoder):
    class Fragile(Loss):
        layers = ("image",)
        reference = "content"

        def forward(self, x, target):
            return (1 - 1e9 * (x - target).square().mean()).sqrt()

    with pytest.raises(FloatingPointError, match="Fragile") as caught:
        stylize(content, style, encoder=encoder, losses=SHALLOW + 0.0 * GramStyleLoss() + Fragile(), **QUICK)
    assert np.array_equal(array(caught.value.image), array(neuralstyle.images.to_pil(load_image(content, 64))))


def test_the_saved_file_has_the_objective_that_the_optimizer_reported(content, style, encoder, tmp_path):
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
def test_the_contents_colours_are_kept(content, style, encoder, color):
    def colours(image):
        return array(image).reshape(-1, 3).mean(0)

    options = {**QUICK, "iterations": 8, "encoder": encoder}
    kept, taken = (colours(stylize(content, style, color=mode, **options)) for mode in (color, "style"))
    original = colours(content)
    assert abs(kept - original).max() < 0.5 * abs(taken - original).max()


@pytest.mark.parametrize("init", ["content", "noise", "style", "picture"])
def test_the_start_is_what_init_says(content, style, encoder, init):
    picture = samples.painting("mosaic", size=64)
    start = []

    def keep(progress):
        start.append(progress.image())
        return False

    stylize(content, style, encoder=encoder, init=picture if init == "picture" else init, callback=keep, **QUICK)
    expected = {"content": content, "style": style, "picture": picture}.get(init)
    mean = array(start[0]).mean((0, 1))
    assert np.allclose(mean, 127.5 if expected is None else array(expected).mean((0, 1)), atol=6)


def first_picture(*arguments, **options):
    """The picture that a run starts from, which is the first that it evaluates."""
    start = []
    stylize(*arguments, callback=lambda progress: start.append(progress.tensor()) or False, **QUICK, **options)
    return start[0]


def test_the_start_may_be_blended_with_noise_of_any_kind(content, style, encoder):
    options = {"encoder": encoder, "losses": SHALLOW, "seed": 7}
    picture, grain = (first_picture(content, style, init=i, noise="style", **options) for i in ("content", "noise"))
    blend = first_picture(content, style, noise_blend=0.3, noise="style", **options)
    assert torch.allclose(blend, 0.7 * picture + 0.3 * grain, atol=1e-6)
    assert torch.allclose(grain.mean((0, 2, 3)), load_image(style).mean((0, 2, 3)), atol=0.06)


def test_the_start_may_be_a_function_of_the_content(content, style, encoder):
    negative = first_picture(content, style, encoder=encoder, losses=SHALLOW, init=lambda picture: 1 - picture)
    assert torch.allclose(negative, 1 - first_picture(content, style, encoder=encoder, losses=SHALLOW), atol=0.02)


def test_the_best_picture_the_last_and_the_average_are_three(content, style, encoder):
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


def test_a_style_is_never_blown_up_beyond_its_own_pixels(content, encoder, monkeypatch):
    seen = []
    monkeypatch.setattr(
        neuralstyle.painting.paint,
        "Objective",
        lambda *a, styles, **k: seen.append(styles) or Objective(*a, styles=styles, **k),
    )
    small = samples.painting("mosaic", size=64)
    stylize(content, [Style(small, scale=3), Style(small, scale=0.5)], encoder=encoder, **QUICK)
    assert [max(style.image.shape) for style in seen[0]] == [64, 32]


def test_texture_synthesis_nears_the_styles_statistics_and_may_be_oblong(style, encoder):
    losses = []
    image = synthesize_texture(
        style, losses=GramStyleLoss(("relu1_1", "relu2_1")), size=(48, 80), iterations=12, encoder=encoder,
        callback=lambda p: losses.append(p.loss), progress=False,
    )  # fmt: skip
    assert image.size == (80, 48)
    assert min(losses) < 0.1 * losses[0]


def test_content_reconstruction_gives_a_shallow_layer_back_and_a_deep_one_less(content, encoder):
    reference = array(content.resize((64, 43), Image.Resampling.BICUBIC)).astype(float)

    def error(layer):
        image = reconstruct_content(content, layer, encoder=encoder, size=64, iterations=30, progress=False)
        return abs(array(image) - reference).mean()

    assert 1.5 * error("relu1_1") < error("relu4_1")


def test_gatys_is_the_papers_objective(content, style):
    recipe = gatys(alpha=1, beta=1e4)
    encoder = recipe["encoder"]
    assert (encoder.pooling, encoder.normalize, recipe["init"]) == ("average", True, "noise")
    assert recipe["schedule"](64, 5) == [Scale(64, 5)]
    p, a, x = (load_image(i, 64).expand(1, 3, -1, -1) for i in (content, style, samples.painting("woodcut", size=96)))
    x = neuralstyle.images.resize_image(x, tuple(p.shape[2:]))
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
        ({"tile": 8}, ValueError, "tile"),
        ({"init": "contents"}, ValueError, "did you mean 'content'"),
        ({"result": "averages"}, ValueError, "did you mean 'average'"),
        ({"noise": "gauss"}, ValueError, "did you mean 'gaussian'"),
        ({"noise_blend": 2}, ValueError, "noise_blend"),
        ({"seed": "1"}, ValueError, "seed"),
        ({"optimizer": 3}, TypeError, r"LBFGS\(\), Adam\(\)"),
        ({"optimizer": "lbfg"}, ValueError, "did you mean 'lbfgs'"),
        ({"optimizer": torch.optim.Adam}, TypeError, r"lambda x: torch.optim.Adam\(\[x\], lr=0.02\)"),
        ({"state": "missing/run.state"}, FileNotFoundError, "missing"),
        ({"state_interval": -1}, ValueError, "state_interval"),
        ({"color": "luminanz"}, ValueError, "did you mean 'luminance'"),
        ({"encoder": "vgg18"}, ValueError, "vgg19"),
        ({"losses": ContentLoss("relu4_9")}, ValueError, "did you mean 'relu4"),
        ({"content": torch.full((1, 3, 64, 64), math.nan)}, ValueError, "NaN|nan|finite"),
        ({"content": np.zeros((3, 3, 3), np.uint8)}, ValueError, "16"),
        ({"device": "cuda:99"}, ValueError, "cuda:99"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_input_is_named_before_any_work(content, style, encoder, changes, error, message):
    def worked(progress):
        pytest.fail("work was done")

    options = {"content": content, "style": style, "encoder": encoder, **QUICK, **changes}
    with pytest.raises(error, match=message):
        stylize(options.pop("content"), options.pop("style"), callback=worked, **options)


def test_a_texture_cannot_compare_with_a_content(style, encoder):
    with pytest.raises(ValueError, match="ContentLoss compares with the content"):
        synthesize_texture(style, losses=SHALLOW, encoder=encoder, **QUICK)


def test_a_picture_of_one_colour_is_painted(style):
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert array(stylize(grey, style, size=64, iterations=40, progress=False)).std() > 20


def test_a_long_strip_skips_the_scales_at_which_it_would_vanish(style, encoder):
    strip = np.random.default_rng(0).integers(0, 255, (40, 400, 3), dtype=np.uint8)
    sizes = []
    image = stylize(
        strip, style, encoder=encoder, size=240, iterations=1, callback=lambda p: sizes.append(p.size), progress=False
    )
    assert image.size == (240, 24)
    assert set(sizes) == {240}


def test_a_long_strip_and_shallow_layers_skip_the_scales_under_16_pixels(style, encoder):
    strip = np.random.default_rng(0).integers(0, 255, (40, 400, 3), dtype=np.uint8)
    sizes = []
    options = {"encoder": encoder, "losses": SHALLOW, "size": 200, "iterations": 1, "progress": False}
    image = stylize(strip, style, callback=lambda p: sizes.append(p.size), **options)
    assert image.size == (200, 20)
    assert set(sizes) == {200}


@pytest.mark.parametrize(("size", "expected"), [(64, [64]), (256, [128, 256]), (800, [100, 200, 400, 800])])
def test_coarse_to_fine_halves_the_size(size, expected):
    scales = coarse_to_fine(size, 10)
    assert [scale.size for scale in scales] == expected
    assert [scale.iterations for scale in scales] == [10] * len(expected)


def test_a_single_scale_is_single():
    assert single_scale(800, 7) == [Scale(800, 7)]


def test_a_bar_shows_the_scale_and_the_loss_on_stderr_only(content, style, encoder, capsys):
    stylize(content, style, encoder=encoder, size=64, iterations=2)
    printed = capsys.readouterr()
    assert "64 px" in printed.err
    assert "loss" in printed.err
    assert printed.out == ""
    stylize(content, style, encoder=encoder, **QUICK)
    assert capsys.readouterr().err == ""


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_cpus_picture(content, style):
    images = [array(stylize(content, style, device=device, **QUICK)).astype(int) for device in ("cpu", "cuda")]
    assert abs(images[0] - images[1]).mean() < 2
