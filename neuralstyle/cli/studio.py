"""The command that opens the studio. What it needs is imported when it runs."""

from __future__ import annotations

import argparse

from neuralstyle.cli.options import MAX_MEGAPIXELS, OUTPUT
from neuralstyle.cli.parsing import Command, Option

FILE = "neuralstyle-studio.png"


def _studio(options: argparse.Namespace) -> int:
    from neuralstyle import studio
    from neuralstyle._stopping import stopping
    from neuralstyle.cli import printing
    from neuralstyle.cli.arguments import given

    stopping.begin()
    studio.serve(
        options.pictures[0] if options.pictures else None,
        options.pictures[1:],
        output=options.output,
        browser=not options.no_browser,
        tell=printing.say,
        **given(options, "host", "port", "token", "size"),
        **({} if options.max_megapixels is None else {"megapixels": options.max_megapixels}),
    )
    return 0


COMMANDS = (
    Command(
        "studio",
        "open a page on which the painting appears live and follows the dials",
        _studio,
        arguments=(
            Option(
                "pictures",
                "the photograph, then the paintings, all files; sample ones stand for what is missing",
                metavar="PICTURE",
                nargs="*",
                reads=True,
            ),
        ),
        options={
            "page": (
                Option("--no-browser", "print the address, and leave the browser closed", flag=True, everyday=True),
                Option(
                    "--size",
                    "make the result's longest side this long at first",
                    int,
                    "PIXELS",
                    shown="512",
                    everyday=True,
                ),
                Option(
                    OUTPUT.name,
                    "save the last picture as this file at the end; a number is added to a name that exists",
                    metavar="OUT",
                    short=OUTPUT.short,
                    default=FILE,
                    writes="file",
                    may_exist=True,
                    everyday=True,
                ),
            ),
            "server": (
                Option(
                    "--host",
                    "listen to this address; 0.0.0.0 lets others in and needs --token",
                    metavar="ADDRESS",
                    shown="127.0.0.1",
                    everyday=True,
                ),
                Option(
                    "--port",
                    "listen to this port; 0 is a free one",
                    int,
                    "N",
                    shown="7860, or a free one",
                    everyday=True,
                ),
                Option(
                    "--token",
                    "let in who knows this token, of 12 or more letters and digits",
                    metavar="TOKEN",
                    shown="a random one",
                    everyday=True,
                ),
                MAX_MEGAPIXELS,
            ),
        },
    ),
)
