"""What is kept from one picture to the next, and that it changes no bit."""

from __future__ import annotations

from pathlib import Path

import torch
from doubles import painting
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective, Plan, Style, load_image, plan
from neuralstyle.machine.keeping import Kept, Same, keep, keeping
from neuralstyle.objective import targets


def test_nothing_is_kept_outside_of_a_block() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    def key() -> str:
        return "key"

    assert [keep("thing", key, make), keep("thing", key, make)] == [1, 2]
    store = Kept()
    with keeping(store):
        assert [keep("thing", key, make), keep("thing", key, make)] == [3, 3]
        assert keep("another", key, make) == 4
        assert keep("thing", lambda: None, make) == 5
    assert keep("thing", key, make) == 6
    with keeping(store):
        assert keep("thing", key, make) == 3
        store.clear()
        assert keep("thing", key, make) == 7


def test_the_things_used_last_are_kept() -> None:
    store = Kept(most=2)
    for name in ("a", "b", "a", "c"):
        store.get("thing", name, lambda name=name: name + name)  # type: ignore[misc]
    assert store.get("thing", "a", lambda: "made again") == "aa"
    assert store.get("thing", "b", lambda: "made again") == "made again"


def test_an_object_as_a_key_equals_itself_alone() -> None:
    thing = [1]
    assert Same(thing) == Same(thing)
    assert Same(thing) != Same([1])
    assert len({Same(thing), Same(thing), Same([1])}) == 2


def gradient(encoder: FeatureExtractor, content: Tensor, style: object) -> Tensor:
    losses = ContentLoss("relu2_1") + GramStyleLoss(("relu1_1", "relu2_1"))
    found = Objective(encoder, losses, content=content, styles=[style]).evaluate(1 - content).gradient  # type: ignore[list-item]
    assert found is not None
    return found


def test_targets_of_a_style_are_computed_once_and_change_no_bit(
    encoder: FeatureExtractor, photo: Tensor, monkeypatch: object
) -> None:
    read: list[str] = []
    original = targets.Targets._targets

    def counted(self: targets.Targets, term: targets.ResolvedTerm, *rest: object) -> object:
        read.append(term.name)
        return original(self, term, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(targets.Targets, "_targets", counted)  # type: ignore[attr-defined]
    pictures = [photo, 1 - photo, photo.flip(3)]
    alone = [gradient(encoder, picture, painting()) for picture in pictures]
    read.clear()
    with keeping(Kept()):
        together = [gradient(encoder, picture, painting()) for picture in pictures]
        assert read.count("GramStyleLoss") == 1
        assert read.count("ContentLoss") == 3
        gradient(encoder, photo, painting("embers"))
        assert read.count("GramStyleLoss") == 2
        mask = torch.ones(8, 8)
        mask[:4] = 0
        masked = gradient(encoder, photo, Style(painting(), mask=mask))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert not torch.equal(masked, alone[0])


def data_of(planned: Plan) -> int:
    """Where the values of the style's picture are."""
    return load_image(planned.styles[0].image).data_ptr()


def test_plans_share_encoders_and_read_a_changed_painting_again(photo: Tensor, tmp_path: Path) -> None:
    file = tmp_path / "painting.png"
    painting().save(file)
    with keeping(Kept()):
        first, second = (plan(photo, str(file), size=64, schedule="draft") for _ in range(2))
        assert first.stages[-1].encoder is second.stages[-1].encoder
        assert data_of(first) == data_of(second)
        painting("embers", 96).save(file)
        third = plan(photo, str(file), size=64, schedule="draft")
    assert load_image(third.styles[0].image).shape[-1] == 96
    assert plan(photo, str(file), size=64, schedule="draft").stages[-1].encoder is not first.stages[-1].encoder
