"""train, apply and export on the command line: every option of fast_neural_style, and errors."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from torch import nn

from neuralstyle import cli
from neuralstyle.encoders import Layer
from neuralstyle.feedforward import TransformerNet, export_onnx, load_model, plan, save_model, shipped_models
from neuralstyle.images import load_image, save_image


class Shallow(nn.Module):
    """The default network's names on four random convolutions."""

    layers = {"image": Layer("image", "image", 3, 1, 0)} | {
        f"relu{n}_1": Layer(f"relu{n}_1", "relu", 4, 2 ** (n - 1), 2**n - 1) for n in range(1, 5)
    }

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        for n in range(1, 5):
            self.register_buffer(f"kernel{n}", torch.randn(4, 3 if n == 1 else 4, 3, 3, generator=generator))

    def forward(self, image, layers):
        features, x = {"image": image}, image
        for n in range(1, 5):
            x = nn.functional.conv2d(x, getattr(self, f"kernel{n}").to(x), padding=1).relu()
            features[f"relu{n}_1"] = x
            x = nn.functional.avg_pool2d(x, 2)
        return {layer: features[layer] for layer in layers}


@pytest.fixture
def files(tmp_path, noise, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "default_encoder", lambda network: Shallow())
    for folder in ("data/one", "data/two"):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(2):
            save_image(noise(1, 3, 20, 24, seed=index), tmp_path / folder / f"{index}.png")
    save_image(noise(1, 3, 32, 32, seed=9), tmp_path / "style.png")
    save_image(noise(1, 3, 40, 36, seed=8), tmp_path / "photo.png")
    network = TransformerNet(4, 1)
    save_model(network, tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def run(files, capsys):
    def run(command):
        try:
            code = cli.main(command.split())
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


TRAIN = "train style.png data -o out.safetensors --size 16 --width 2 --blocks 1 --workers 0 --device cpu --quiet"


def weights(path):
    return torch.cat([parameter.detach().flatten() for parameter in load_model(path).parameters()])


@pytest.mark.parametrize(
    "options",
    [
        "--epochs 3",
        "--batch-size 2",
        "--size 20",
        "--style-size 16",
        "--seed 7",
        "--content-weight 50",
        "--style-weight 50",
        "--tv-weight 50",
        "--lr 1e-2",
        "--crop random",
        "--decay",
        "--hold-out 2",
        "--steps 3",
        "--width 3",
        "--blocks 2",
        "--init model.safetensors",
        "--half",
        "--precision bfloat16",
    ],
)
def test_options_of_training_change_the_network(run, files, options):
    code, out, err = run(TRAIN)
    assert (code, err) == (0, "")
    assert "out.safetensors" in out
    code, _, err = run(f"{TRAIN} --overwrite {options}".replace("out.safetensors", "other.safetensors"))
    assert (code, err) == (0, "")
    one, other = weights("out.safetensors"), weights("other.safetensors")
    assert one.shape != other.shape or not torch.equal(one, other)


def test_training_defaults_are_those_of_fast_neural_style():
    options = cli._parser().parse_args(["train", "style.png", "data", "-o", "out.safetensors"])
    assert (options.epochs, options.batch_size, options.size, options.crop) == (2, 4, 256, "center")
    assert (options.seed, options.lr, options.style_size, options.decay) == (42, 1e-3, None, False)
    assert (options.state_every, options.log_every, options.width, options.blocks) == (2000, 500, 32, 5)


def test_what_training_writes(run, files):
    options = "--state run --state-every 1 --log losses.csv --log-every 2"
    options += " --snapshots-of photo.png --snapshots step-%02d.png --snapshots-every 2 --steps 4"
    code, _, err = run(f"{TRAIN} {options}")
    assert (code, err) == (0, "")
    assert len(list((files / "run").glob("step-*.safetensors"))) == 4
    assert (files / "losses.csv").read_text().startswith("step,epoch,seconds,loss,ContentLoss,GramStyleLoss")
    assert len((files / "losses.csv").read_text().splitlines()) == 3
    assert [path.name for path in sorted(files.glob("step-*.png"))] == ["step-02.png", "step-04.png"]
    with Image.open("step-04.png") as snapshot, Image.open("photo.png") as photo:
        assert snapshot.size == photo.size
    finished = weights("out.safetensors")
    code, _, err = run(f"{TRAIN} {options} --overwrite")  # the run is over, and is not begun again
    assert code == 0
    assert torch.equal(weights("out.safetensors"), finished)
    code, _, err = run(f"{TRAIN} {options} --overwrite --seed 1")
    assert code == 2
    assert "--restart" in err
    code, _, err = run(f"{TRAIN} {options} --overwrite --seed 1 --restart")
    assert (code, err) == (0, "")
    assert not torch.equal(weights("out.safetensors"), finished)


def test_unreadable_pictures_are_reported(run, files):
    (files / "data/one/1.png").write_text("no picture")
    code, _, err = run(TRAIN)
    assert code == 0
    assert err.startswith("neuralstyle: warning: skipped: ")
    assert err.count("\n") == 1
    assert "1.png" in err


def test_json_of_training_and_applying_is_one_line(run, files):
    (files / "data/one/1.png").write_text("no picture")
    code, out, err = run(f"{TRAIN} --json")
    found = json.loads(out)
    assert (code, found["reason"], found["output"]) == (0, "finished", "out.safetensors")
    assert found["bytes"] == (files / "out.safetensors").stat().st_size
    assert len(err.splitlines()) == 2  # what was skipped, and the result
    code, out, _ = run("apply model.safetensors data -o painted --quiet --json")
    found = json.loads(out)
    assert (code, found["exit_code"], found["output"]) == (2, 2, "painted")
    assert list(found["failed"]) == ["data/one/1.png"]


def test_finished_network_is_not_replaced_unasked(run, files):
    (files / "out.safetensors").write_text("old")
    code, _, err = run(TRAIN)
    assert code == 2
    assert "--overwrite" in err
    assert (files / "out.safetensors").read_text() == "old"


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ("", (36, 40)),
        ("--content-scale 2", (18, 20)),
        ("--tile 32", (36, 40)),
        ("--device cpu --batch-size 2", (36, 40)),
    ],
)
@pytest.mark.parametrize("model", ["model.safetensors", "model.onnx"])
def test_options_of_applying(run, files, options, size, model):
    export_onnx(load_model("model.safetensors"), "model.onnx")
    code, _, err = run(f"apply {model} photo.png -o painted.png --quiet {options}")
    assert (code, err) == (0, "")
    with Image.open("painted.png") as image:
        assert image.size == size
    picture = load_image("photo.png") if size == (36, 40) else load_image("photo.png", 20)
    expected = load_model("model.safetensors")(picture)
    assert (load_image("painted.png") - expected).abs().max() < 1.01 / 255


def test_folder_with_a_bad_file(run, files):
    (files / "data/one/bad.jpg").write_text("no picture")
    code, _, err = run("apply model.safetensors data photo.png -o painted --quiet")
    assert code == 2
    assert err.count("\n") == 1
    assert "data/one/bad.jpg" in err
    names = sorted(str(path.relative_to(files / "painted")) for path in (files / "painted").rglob("*.png"))
    assert names == ["one/0.png", "one/1.png", "photo.png", "two/0.png", "two/1.png"]
    code, _, err = run("apply model.safetensors data/two -o painted/two --quiet --overwrite")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("apply gone.safetensors photo.png -o painted", "no file gone.safetensors"),
        ("apply photo.png photo.png -o painted", "kind of model file"),
        ("apply broken.safetensors photo.png -o painted", "damaged"),
        ("apply broken.onnx photo.png -o painted", "damaged"),
        ("apply broken.pth photo.png -o painted", "damaged"),
        ("apply model.safetensors gone.png -o painted", "no file or folder gone.png"),
        ("apply model.safetensors data -o painted.png", "give a folder"),
        ("apply model.safetensors photo.png -o painted --content-scale 0", "content_scale"),
        ("apply model.safetensors photo.png -o painted --batch-size 0", "batch_size"),
        ("export model.safetensors -o out.pt", ".onnx"),
        ("export broken.safetensors -o out.onnx", "damaged"),
        ("train style.png gone -o out.safetensors", "no file or folder gone"),
        ("train style.png data -o out.pth", ".safetensors"),
        ("train style.png data -o out.safetensors --log losses.png", "unknown suffix '.png'; use one of .csv .jsonl"),
        ("train style.png data -o out.safetensors --state style.png", "--state style.png is read too, as STYLE"),
        ("train style.png data -o out.safetensors --state photo.png", "photo.png is a file; give the name of a folder"),
        ("train style.png data -o out.safetensors --log old.csv", "old.csv exists"),
        ("train style.png data -o out.safetensors --snapshots old-%d.png", "old-3.png exists"),
        ("train style.png data -o folder.safetensors --overwrite", "folder.safetensors is a folder"),
        ("train style.png data -o data/one/0.png --overwrite", "is read too, as DATA"),
        ("train style.png data -o out.safetensors --snapshots data/one/%d.png --overwrite", "is read too, as DATA"),
        ("apply model.safetensors data/one -o data/one --overwrite", "an input is never replaced"),
        ("apply model.safetensors data/one/0.png -o data/one --overwrite", "an input is never replaced"),
        ("apply model.safetensors photo.png -o photo.png --overwrite", "-o photo.png is read too, as PICTURE"),
        ("apply model.safetensors photo.png -o painted.jp2", "unknown suffix '.jp2'"),
        ("apply model.safetensors photo.png -o -", "-o - : nothing is written to the standard output"),
        ("export model.safetensors -o model.safetensors --overwrite", "-o model.safetensors is read too, as MODEL"),
        ("train style.png data -o out.safetensors --snapshots gone/{}.png", "gone"),
        ("train style.png data -o out.safetensors --init broken.safetensors", "damaged"),
    ],
)
def test_errors_are_one_line(run, files, command, words):
    for suffix in ("safetensors", "onnx", "pth"):
        (files / f"broken.{suffix}").write_bytes(b"broken" * 20)
    for name in ("old.csv", "old-3.png"):
        (files / name).write_text("precious")
    (files / "folder.safetensors").mkdir()
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert words in err
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before
    assert err.count("\n") == 1
    assert not (files / "painted").exists()


def test_export_and_apply_agree(run, files):
    code, out, err = run("export model.safetensors -o model.onnx")
    assert (code, err) == (0, "")
    assert "model.onnx" in out
    assert run("export model.safetensors -o model.onnx")[0] == 2
    image = load_image("photo.png")
    torch.testing.assert_close(
        load_model("model.onnx")(image), load_model("model.safetensors")(image), atol=1e-3, rtol=0
    )
    code, _, err = run("export model.onnx -o again.onnx")
    assert code == 2
    assert "an ONNX model already" in err


@pytest.mark.skipif(not shipped_models(), reason="no trained network is in the package")
def test_shipped_network_paints(run, files):
    for name in shipped_models():
        code, _, err = run(f"apply {name} photo.png -o {name}.png --quiet")
        assert (code, err) == (0, "")
        assert load_image(f"{name}.png").std() > 0.05
