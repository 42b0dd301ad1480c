"""The table of the command line's options: what its help says, and what --help leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from neuralstyle import Adam, Style, cli
from neuralstyle.callbacks import SavePictures
from neuralstyle.cli import batch, comparing, feedforward, painting, sheet, studio, tools, video
from neuralstyle.cli.parsing import Command, Option, default
from neuralstyle.encoders.default import DEFAULT_PADDING, DEFAULT_POOLING
from neuralstyle.encoders.vgg import find_network
from neuralstyle.encoders.weights.records import SOURCES, check_source
from neuralstyle.optimizers.lbfgs import LBFGS, MAX_PAIRS
from neuralstyle.painting.options import DEFAULTS
from neuralstyle.recipes import DEFAULT_LOSSES, DEFAULT_NETWORK, DEFAULT_STYLE_LOSS, STYLE_LOSSES, TEXTURE_LOSSES

MODULES: tuple[Any, ...] = (painting, studio, batch, sheet, video, feedforward, comparing, tools)
COMMANDS: dict[str, Command] = {command.name: command for module in MODULES for command in module.COMMANDS}
EVERYDAY = {
    "batch": (
        "style output overwrite skip_existing like recursive jobs quiet size schedule device dry_run strength "
        "style_scales color seed"
    ),
    "stylize": "output overwrite like size schedule strength style_scales color seed device quiet dry_run",
    "texture": "output overwrite size schedule seamless style_scales seed device quiet dry_run",
    "reconstruct": "output overwrite size schedule layer seed device quiet dry_run",
    "demo": "output overwrite size schedule painting seed device quiet dry_run",
    "train": "output overwrite size steps style_size content_weight style_weight device quiet state",
    "video": "output overwrite from to every steadiness model size schedule strength style_scales color device quiet",
    "apply": "output overwrite color strength content_scale device skip_existing jobs quiet",
    "sheet": "output overwrite cells style losses strengths scales seeds size schedule color device quiet",
    "compare": "size published json csv overwrite sweep device quiet",
    "studio": "output no_browser size host port token",
}


def options(command: str) -> dict[str, Option]:
    groups = COMMANDS[command].options or {}
    return {option.key: option for group in groups.values() for option in group}


def help_of(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, option])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_options_of_every_day_and_help_all_every_one(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = options(command)
    everyday = {option.name for option in known.values() if option.everyday}
    assert {option.lstrip("-").replace("-", "_") for option in everyday} == set(
        EVERYDAY.get(command, " ".join(known)).split()
    ) - ({"depth", "quality", "dpi", "max_megapixels"} if command == "recolor" else set())
    short = set(help_of(command, "--help", capsys).split())
    assert everyday <= short
    assert short.isdisjoint({option.name for option in known.values()} - everyday)
    if len(everyday) < len(known):
        assert {option.name for option in known.values()} <= set(help_of(command, "--help-all", capsys).split())


def test_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert help_of("stylize", "--help", capsys).splitlines()[0] == (
        "usage: neuralstyle stylize CONTENT STYLE... -o OUT [options]"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("stylize a b", "the following arguments are required: -o/--output; 'neuralstyle stylize --help'"),
        ("stylize a b -o c.png --itertions 5", "unrecognized arguments: --itertions 5; did you mean --iterations?"),
        ("stylize a b -o c.png --schedule drft", "did you mean draft?; 'neuralstyle stylize --help'"),
        ("styliz a b -o c.png", "did you mean stylize?; 'neuralstyle --help' lists what there is"),
        ("layers xyz", "unrecognized arguments: xyz; 'neuralstyle layers --help' lists what there is"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_closest_match(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("neuralstyle: error: ")
    assert message in line


SHOWN = {  # defaults that the table cannot take from a signature, as those files import torch
    "lr": str(Adam.lr),
    "betas": " ".join(map(str, Adam.betas)),
    "eps": str(Adam.eps),
    "history": f"{MAX_PAIRS}, or what the memory holds",
    "history_store": LBFGS.store,
    "pooling": DEFAULT_POOLING,
    "padding": DEFAULT_PADDING,
    "softness": str(Style.softness),
    "edges": Style.edges,
    "style_scales": f"{Style.scale:g}",
    "snapshots_every": str(default(SavePictures, "every")),
    "seed": str(DEFAULTS["seed"]),
}


@pytest.mark.parametrize("key", SHOWN)
def test_defaults_in_the_help_are_the_librarys(key: str) -> None:
    assert options("stylize")[key].shown == SHOWN[key]


def test_defaults_that_are_names_are_the_librarys() -> None:
    known = options("stylize")
    for command, key, losses in (
        ("stylize", "style_loss", DEFAULT_LOSSES),
        ("sheet", "losses", DEFAULT_LOSSES),
        ("texture", "style_loss", TEXTURE_LOSSES),
    ):
        kinds = {type(term.loss) for term in STYLE_LOSSES[str(options(command)[key].shown)] * 1}
        assert kinds <= {type(term.loss) for term in losses}, command
    assert known["style_loss"].shown == DEFAULT_STYLE_LOSS
    assert str(known["network"].shown).startswith(DEFAULT_NETWORK)
    for network, source in (("vgg19", "simonyan"), ("compact19", "distilled"), ("vgg16", "torchvision")):
        assert find_network(network).sources[0] == source == check_source(network, None)
    assert all(source in known["weights"].does for source in SOURCES)


def test_help_shows_the_defaults_of_the_commands_function(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(command: str, key: str) -> str:
        return options(command)[key].text(COMMANDS[command].defaults or {})

    assert shown("stylize", "size").endswith("(default: 512)")
    assert shown("demo", "size").endswith("(default: 384)")
    assert shown("stylize", "init").endswith("(default: content)")
    assert shown("texture", "init").endswith("(default: noise)")
    assert shown("stylize", "schedule").endswith("(default: standard)")
    assert shown("reconstruct", "schedule").endswith("(default: single)")
    assert shown("reconstruct", "layer").endswith("(default: relu4_2)")
    assert shown("stylize", "log") == options("stylize")["log"].does  # it has none
    assert "(default: 384)" in " ".join(help_of("demo", "--help", capsys).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_a_verb_and_ends_without_a_stop(command: str) -> None:
    for option in options(command).values():
        assert option.does[0].islower()
        assert not option.does.endswith(".")
        assert option.does.split()[0] not in {"a", "an", "the", "of", "how", "which", "what", "where", "its"}
