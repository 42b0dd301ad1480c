"""Plans: everything that a painting needs, checked and resolved before any work."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image
from torch import Tensor
from typing_extensions import Unpack

from neuralstyle._errors import brief, takes
from neuralstyle._words import Color
from neuralstyle.checkpoint import describe, fingerprint
from neuralstyle.color import recolor_result, recolor_style
from neuralstyle.color.grey import is_grey, to_grey
from neuralstyle.encoders.base import on_encoder
from neuralstyle.images import Picture, Size, check_size, fit_size, load_image, longest_side, resize_image, to_pil
from neuralstyle.images.cutouts import Cutout, as_cutout, is_seen, seen_pixels, with_opacity
from neuralstyle.images.masks import load_mask
from neuralstyle.images.periodic import periodic_part
from neuralstyle.images.reading import load_spare
from neuralstyle.images.strips import premultiplied
from neuralstyle.losses import ContentLoss, LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.machine.keeping import keep
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective.parts import part_for, size_of
from neuralstyle.objective.regions import stretch, warn_of_bare_parts, with_masks
from neuralstyle.objective.tiling import TileSize
from neuralstyle.optimizers.strategies import as_strategy, check_result
from neuralstyle.painting.estimate import Estimate, estimate
from neuralstyle.painting.initial import initial_picture
from neuralstyle.painting.options import PaintingOptions, StateFile, StylizeOptions, with_defaults
from neuralstyle.painting.progress import Callback
from neuralstyle.painting.resume import check_state, describe_style, is_state_of, settings_of
from neuralstyle.painting.stages import PlannedStage, list_stages, resolve_stages
from neuralstyle.painting.table import table_of
from neuralstyle.recipes import DEFAULT_LOSSES, TEXTURE_LOSSES, strength_factors
from neuralstyle.styles import Style, as_styles, side_at_scale, warn_of_scale


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Everything that ``paint`` needs, checked and resolved.

    ``print(plan)`` shows it as a table. A plan can be painted again; on the CPU it gives the same bytes each time.

    Attributes:
        stages: the stages, coarse to fine, each with height, width, iterations, encoder, losses, cost,
            optimizer and result.
        start: the picture to start from, (1, 3, H, W) in [0, 1], at the first stage's size.
        content: (1, 3, H, W) in [0, 1], or None. A picture of more than a megapixel, and of more than four times the
            size that is painted, has twice that size here; so have the styles.
        opacity: that of the content and the result, (1, 1, H, W) in [0, 1], or None where nothing is transparent.
        styles: the styles, recoloured as ``color`` says. What is transparent in them is in their masks.
        tile: longest side of a tile in pixels, "auto" or None.
        color: whose colours the result has.
        grey: whether neither the content nor a style has colours; then the best grey picture is painted.
        callbacks: called after each evaluation.
        progress: whether to show a progress bar.
        seamless: whether the result repeats.
        state: the file for the state of the run, or None.
        notes: a line for each departure from the call or its schedule, with the reason.

    Example:
        ```python
        from neuralstyle import paint, plan, samples

        draft = plan(samples.photo(), samples.painting("swirl"), size=64, iterations=2, schedule="draft")
        print(draft)
        image = paint(draft)
        assert max(image.size) == draft.stages[-1].size == 64
        ```

    """

    stages: tuple[PlannedStage, ...]
    start: Tensor
    content: Tensor | None
    opacity: Tensor | None
    styles: tuple[Style, ...]
    tile: TileSize
    color: Color
    grey: bool
    callbacks: tuple[Callback, ...]
    progress: bool
    seamless: bool
    state: StateFile | None
    notes: tuple[str, ...]

    @plain_torch()
    def estimate(self) -> Estimate:
        """Forecast the time and the memory, from a few small steps through each encoder.

        Time is that of the steps at two sizes up to 256 pixels, scaled as the progress bar does it; memory is in
        proportion to the largest tile. It takes about as long as 8 evaluations at 256 pixels through each encoder.
        """
        return estimate(self.stages, self.start, self.content, self.styles, self.tile)

    def settings(self) -> dict[str, str]:
        """Return, by name, the settings that a continued run has to share."""
        return settings_of(
            {
                "device": self.start.device,
                "precision": self.start.dtype,
                "losses": _once(stage.losses for stage in self.stages),
                "sizes and iterations": [(*stage.shape, stage.iterations) for stage in self.stages],
                "optimizer": _once(stage.optimizer for stage in self.stages),
                "encoder": _once(stage.encoder for stage in self.stages),
                "parameters": _once(stage.parameters for stage in self.stages),
                "tile": self.tile,
                "result": _once(stage.result for stage in self.stages),
                "start": fingerprint(self.start),
                "content": fingerprint(self.content),
                "opacity": fingerprint(self.opacity),
                "style": [describe_style(style) for style in self.styles],
                "color": self.color,
                "seamless": self.seamless,
            }
        )

    @property
    def continues(self) -> bool:
        """Whether the file of ``state`` is there and is of a run with these settings, which ``paint`` continues."""
        return self.state is not None and is_state_of(self.state, self.settings())

    @plain_torch()
    def render(self, found: Tensor, levels: int | None) -> Tensor:
        """Return a picture of any stage in its final colours.

        Args:
            found: (1, 3, H, W) in [0, 1].
            levels: number of values of each channel in the saved picture: 256 for 8 bits; None does not round.

        Returns:
            (1, 3, H, W) in [0, 1], with the opacity as a fourth channel if there is one.

        """
        found, size = self.constrained(found[:, :3]), (found.shape[2], found.shape[3])
        if self.content is None:
            return found
        content = resize_image(self.content, size, wraps=self.seamless)
        opacity = None if self.opacity is None else resize_image(self.opacity, size)
        seen = None if opacity is None else is_seen(opacity)
        colors = recolor_result(found, content, self.color, levels=levels, seen=seen, wraps=self.seamless)
        return with_opacity(colors, opacity)

    def constrained(self, picture: Tensor) -> Tensor:
        """Return a picture, or a gradient, projected on the grey ones if the result is to be grey."""
        return to_grey(picture) if self.grey else picture

    @plain_torch()
    def picture(self, found: Tensor) -> Image.Image:
        """Return a picture of any stage as an 8-bit result, at the final size and in its final colours."""
        return to_pil(self.render(self.stages[-1].resized(found), 256))

    def __repr__(self) -> str:
        last = self.stages[-1]
        return f"<Plan of {len(self.stages)} stages, the last of {last.width} x {last.height} pixels>"

    def __str__(self) -> str:
        return "\n".join([*table_of(self.stages), *(f"note: {note}" for note in self.notes)])


@plain_torch()
def plan(
    content: Picture, style: Picture | Style | Sequence[Picture | Style], **options: Unpack[StylizeOptions]
) -> Plan:
    """Check and resolve everything that ``stylize`` needs, without painting.

    Args:
        content: the photograph, as in ``stylize``.
        style: the painting or paintings, as in ``stylize``.
        **options: as in ``stylize``.

    Returns:
        A ``Plan``, for ``paint``. Encoders that are modules on another device are copied.

    Raises:
        ValueError: bad input, named in the message.
        TypeError: input of another type, or an unknown option.
        OSError: a picture that does not exist, or a state file that cannot be written.

    Example:
        ```python
        from neuralstyle import plan, samples

        print(plan(samples.photo(), samples.painting("swirl"), size=512))
        ```

    """
    chosen = with_defaults(options)
    picture, (height, width) = load_spare(content, partial(longest_side, chosen["size"]), premultiplied)
    content_factor, style_factor = strength_factors(chosen["strength"])
    losses = as_sum(DEFAULT_LOSSES if chosen["losses"] is None else chosen["losses"])
    return _resolve(
        losses.scaled("content", content_factor).scaled("style", style_factor),
        as_cutout(picture),
        as_styles(style),
        longest_side(chosen["size"], height, width),
        lambda size: fit_size(height, width, size),
        chosen,
    )


@plain_torch()
def plan_texture(
    style: Picture | Style | Sequence[Picture | Style],
    size: int | tuple[int, int],
    **options: Unpack[PaintingOptions],
) -> Plan:
    """Check and resolve everything that ``synthesize_texture`` needs; see there and ``plan``."""
    height, width = size if isinstance(size, tuple) else (size, size)
    longest = max(check_size(height), check_size(width))
    chosen = with_defaults({"init": "noise", **options})
    return _resolve(
        as_sum(TEXTURE_LOSSES if chosen["losses"] is None else chosen["losses"]),
        None,
        as_styles(style),
        longest,
        lambda side: (round(height * side / longest), round(width * side / longest)),
        chosen,
    )


@plain_torch()
def plan_reconstruction(content: Picture, layer: str, size: Size, **options: Unpack[PaintingOptions]) -> Plan:
    """Check and resolve everything that ``reconstruct_content`` needs; see there and ``plan``."""
    picture, (height, width) = load_spare(content, partial(longest_side, size), premultiplied)
    chosen = with_defaults({"init": "noise", **options})
    return _resolve(
        as_sum(ContentLoss(layer) if chosen["losses"] is None else chosen["losses"]),
        as_cutout(picture),
        [],
        longest_side(size, height, width),
        lambda side: fit_size(height, width, side),
        chosen,
    )


def _resolve(
    losses: LossSum,
    cutout: Cutout | None,
    styles: Sequence[Style],
    longest: int,
    shape: Callable[[int], tuple[int, int]],
    options: StylizeOptions,
) -> Plan:
    """Return the plan for a result whose longest side is ``longest`` pixels."""
    if options["result"] is not None:
        check_result(options["result"])
    optimizer = None if options["optimizer"] is None else as_strategy(options["optimizer"])
    encoder, color, tile = options["encoder"], options["color"], options["tile"]
    listed, notes = list_stages(options["schedule"], longest, options["iterations"], losses, encoder)
    content, opacity = (None, None) if cutout is None else (cutout.colors, cutout.opacity)
    if options["seamless"] and content is not None:
        content = periodic_part(content)
    styles = [with_masks(style) for style in styles]
    largest = max(stage.size for stage in listed)
    pictures = [_with_picture(style, largest, losses) for style in styles]
    stages, left_out = resolve_stages(
        listed,
        shape,
        losses,
        encoder=encoder,
        optimizer=optimizer,
        result=options["result"],
        device=options["device"],
        content=content is not None,
        styles=pictures,
        color=color,
        tile=tile,
        seamless=options["seamless"],
    )
    _warn_of_styles(pictures, longest, stages[-1].shape, content is not None)
    if content is not None:
        seen = seen_pixels(content, opacity)
        pictures = [replace(s, image=recolor_style(load_image(s.image), seen, color)) for s in pictures]
    start = initial_picture(options["init"], stages[0].shape, content, pictures, seed=options["seed"])
    looked_at = [load_image(style.image) for style in pictures if style.weight]
    grey = all(is_grey(picture) for picture in (looked_at if content is None else [content, *looked_at]))
    planned = Plan(
        stages=stages,
        start=on_encoder(stages[0].encoder, to_grey(start) if grey else start),
        content=None if content is None else on_encoder(stages[-1].encoder, content),
        opacity=None if opacity is None else on_encoder(stages[-1].encoder, opacity),
        styles=tuple(pictures),
        tile=tile,
        color=color,
        grey=grey,
        callbacks=as_callbacks(options["callback"]),
        progress=options["progress"],
        seamless=options["seamless"],
        state=_state_file(options["state"]),
        notes=(*notes, *left_out),
    )
    if planned.state is not None:
        check_state(planned.state, planned.settings(), planned.start.device)
    return planned


def _with_picture(style: Style, largest: int, losses: LossSum) -> Style:
    """Return a style with its picture loaded; what is transparent in it is left out by its mask, if losses take one."""

    def key() -> Hashable | None:
        if not isinstance(style.image, (str, os.PathLike)):
            return None
        try:
            file = os.stat(style.image)  # noqa: PTH116 - it may be a path of any kind
        except OSError:
            return None  # who opens it says why
        # What is decoded depends on the size that is needed, and that on the scale.
        return os.fspath(style.image), file.st_mtime_ns, file.st_size, style.scale, style.enlarge, largest

    def load() -> Cutout:
        return as_cutout(load_spare(style.image, partial(side_at_scale, style, largest), premultiplied)[0])

    found = keep("style", key, load)
    opacity = found.opacity
    if opacity is not None and all(part_for(t.loss).takes_mask for t in losses if t.loss.reference == "style"):
        mask = load_mask(style.mask)
        style = replace(style, mask=opacity if mask is None else opacity * stretch(mask, size_of(opacity), opacity))
    return replace(style, image=found.colors)


def _warn_of_styles(styles: Sequence[Style], longest: int, shape: tuple[int, int], has_content: bool) -> None:
    """Warn of what is not painted as the styles say."""
    for style in styles:
        warn_of_scale(style, longest)
    warn_of_bare_parts(
        styles, shape, "there it follows the photograph alone" if has_content else "there nothing is painted"
    )


def as_callbacks(callback: Callback | Sequence[Callback] | None) -> tuple[Callback, ...]:
    """Return one callback, several or none as a tuple.

    Raises:
        TypeError: something that cannot be called with a ``Progress``.

    """
    found: tuple[Any, ...]
    if callable(callback) or not isinstance(callback, Iterable) or isinstance(callback, (str, Mapping)):
        found = () if callback is None else (callback,)
    else:
        found = tuple(callback)
    for each in found:
        if isinstance(each, type):
            raise TypeError(f"a callback is an object, received the class {each.__name__}; make one of that class")
        if not callable(each) or not takes(each, None):
            raise TypeError(
                "a callback is a function that takes one argument, the Progress, such as "
                f"lambda progress: print(progress.loss), received {brief(each)}"
            )
    return found


def _once(values: Iterable[object]) -> str:
    """Describe the values, or only the first if all descriptions are equal."""
    written = [describe(value) for value in values]
    return written[0] if len(set(written)) == 1 else str(written)


def _state_file(state: object) -> StateFile | None:
    if state is None or isinstance(state, StateFile):
        return state
    if not isinstance(state, (str, os.PathLike)):
        raise TypeError(f"state is a path or a StateFile, received {brief(state)}")
    return StateFile(state)
