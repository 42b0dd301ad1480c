#!/usr/bin/env python3
"""A plug-in for GIMP 3: paints the selected layer in the style of a picture, by the command line of neuralstyle.

It runs in GIMP's Python, which needs neither PyTorch nor the package: the command may be in any environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject  # noqa: E402

NAME = "plug-in-neuralstyle-paint"
SCHEDULES = ("standard", "preview", "draft", "fine", "single")  # the first one is the default
COLORS = ("style", "luminance", "match", "match-pca", "match-cholesky", "histogram")
PULSE = 0.3  # seconds
READWRITE = GObject.ParamFlags.READWRITE


class Paint(Gimp.PlugIn):
    """The plug-in, as GIMP asks for it."""

    def do_set_i18n(self, name: str) -> bool:
        """Say that there are no translations."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Name what the plug-in can do."""
        return [NAME]

    def do_create_procedure(self, name: str) -> Any:
        """Describe the menu entry and its dials."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("_Neural style...")
        procedure.add_menu_path("<Image>/Filters/Artistic/")
        procedure.set_documentation("Paint a layer in the style of a picture", "The result is a new layer.", name)
        procedure.set_attribution("The neuralstyle authors", "The neuralstyle authors", "2026")
        opens = Gimp.FileChooserAction.OPEN
        procedure.add_file_argument("style", "_Style", "The painting", opens, False, None, READWRITE)
        procedure.add_double_argument("strength", "S_trength", "0: the photograph", 0, 1, 0.5, READWRITE)
        procedure.add_int_argument("size", "Si_ze", "Longest side; 0: the layer's", 0, 65536, 512, READWRITE)
        for key, label, words in (("schedule", "S_peed", SCHEDULES), ("color", "_Colour", COLORS)):
            choice = Gimp.Choice.new()
            for index, word in enumerate(words):
                choice.add(word, index, word, "")
            procedure.add_choice_argument(key, label, label, choice, words[0], READWRITE)
        procedure.add_int_argument("seed", "S_eed", "Other noise", 0, 2**31 - 1, 0, READWRITE)
        procedure.add_string_argument("program", "_Program", "Path of neuralstyle", "neuralstyle", READWRITE)
        return procedure


def run(procedure: Any, run_mode: Any, image: Any, drawables: Any, config: Any, data: Any) -> Any:
    """Show the dials, paint, and put the result above the layer."""
    if len(drawables) != 1 or not isinstance(drawables[0], Gimp.Layer):
        return _ends(procedure, Gimp.PDBStatusType.CALLING_ERROR, "select one layer")
    if run_mode == Gimp.RunMode.INTERACTIVE:
        GimpUi.init(NAME)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Neural style")
        dialog.fill(None)
        accepted = dialog.run()
        dialog.destroy()
        if not accepted:
            return _ends(procedure, Gimp.PDBStatusType.CANCEL)
    try:
        with tempfile.TemporaryDirectory() as folder:
            content, result = Path(folder, "content.png"), Path(folder, "result.png")
            _save(drawables[0], content)
            Gimp.progress_init("Painting")
            paint(command(config, content, result))
            _insert(image, drawables[0], result)
    except (OSError, RuntimeError) as error:
        return _ends(procedure, Gimp.PDBStatusType.EXECUTION_ERROR, str(error))
    Gimp.displays_flush()
    return _ends(procedure, Gimp.PDBStatusType.SUCCESS)


def _ends(procedure: Any, status: Any, message: str | None = None) -> Any:
    return procedure.new_return_values(status, None if message is None else GLib.Error(message))


def command(config: Any, content: Path, result: Path) -> list[str]:
    """The command line, from the dials."""
    dials = {name: config.get_property(name) for name in ("strength", "size", "schedule", "color", "seed")}
    dials["size"] = dials["size"] or "original"
    found, style = shutil.which(config.get_property("program")), config.get_property("style")
    if found is None:
        raise FileNotFoundError("the program neuralstyle was not found; give its path in the dialog")
    if style is None or style.get_path() is None:
        raise FileNotFoundError("choose a picture on this computer as the style")
    options = [word for name, value in dials.items() for word in (f"--{name}", str(value))]
    return [found, "stylize", str(content), style.get_path(), "-o", str(result), "--quiet", *options]


def paint(words: list[str]) -> None:
    """Run a command while the progress bar moves; its last line is the error if it fails."""
    own = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH")  # GIMP's, for its own Python
    environment = {name: value for name, value in os.environ.items() if name not in own}
    with tempfile.TemporaryFile() as output:
        program = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        while (code := program.poll()) is None:
            Gimp.progress_pulse()
            time.sleep(PULSE)
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").strip().splitlines()
    if code:
        raise RuntimeError(lines[-1] if lines else f"neuralstyle ended with exit code {code}")


def _save(layer: Any, path: Path) -> None:
    """Save a layer alone, with its opacity."""
    single = Gimp.Image.new(layer.get_width(), layer.get_height(), layer.get_image().get_base_type())
    try:
        copy = Gimp.Layer.new_from_drawable(layer, single)
        single.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        if not Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, single, Gio.File.new_for_path(str(path)), None):
            raise RuntimeError("GIMP could not save the layer as PNG")
    finally:
        single.delete()


def _insert(image: Any, layer: Any, path: Path) -> None:
    """Put a picture right above a layer, at its place and in its size, as one step to undo."""
    image.undo_group_start()
    try:
        painted = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(path)))
        image.insert_layer(painted, layer.get_parent(), image.get_item_position(layer))
        painted.set_name(f"{layer.get_name()}, painted")
        painted.scale(layer.get_width(), layer.get_height(), False)
        painted.set_offsets(*layer.get_offsets()[-2:])
    finally:
        image.undo_group_end()


if __name__ == "__main__":
    Gimp.main(Paint.__gtype__, sys.argv)
