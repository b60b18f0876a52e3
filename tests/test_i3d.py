"""I3D is the network of the public checkpoint at every size of input, and its loader trusts nobody."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import CheckpointMissing
from pipeline.features.i3d import I3D, MaxPool, Unit, load_i3d, same_padding
from tests.i3d_parts import plain_features, seeded_weights, shapes_of, slow_convolution, write_weights

NARROW = 0.125


@pytest.fixture(scope="module")
def parity(shared: Path) -> Path:
    folder = shared / "parity" / "i3d"
    if not (folder / "expected.npz").is_file():
        pytest.skip("needs the parity files in the shared folder")
    return folder


@pytest.fixture(scope="module")
def public(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> I3D:
    """The full network with the seeded weights of the parity files, through a checkpoint file."""
    path = tmp_path_factory.mktemp("weights") / "rgb_imagenet.pt"
    torch.save(seeded_weights(json.loads((parity / "state_dict_shapes.json").read_text())), path)
    return load_i3d(path)


def narrow() -> I3D:
    model = I3D(width=NARROW)
    model.load_state_dict(seeded_weights(shapes_of(model)))
    return model.eval()


def noise(*shape: int, seed: int = 11) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_keys_and_shapes_are_those_of_the_public_checkpoint(parity: Path) -> None:
    shapes = json.loads((parity / "state_dict_shapes.json").read_text())
    assert shapes_of(I3D()) == shapes


@torch.inference_mode()
def test_every_block_and_the_features_are_those_of_a_public_implementation(parity: Path, public: I3D) -> None:
    expected = np.load(parity / "expected.npz")
    x = noise(1, 3, 16, 224, 224)
    y = x
    for name in public.blocks:
        y = getattr(public, name)(y)
        told = expected[f"t16_stat_{name}"]
        found = [*y.shape, y.mean().item(), y.std().item(), y.abs().max().item()]
        assert np.allclose(found, told, rtol=1e-4), name
    for name, found in (("t16_features", public.extract_features(x)), ("t16_logits", public(x))):
        assert tuple(found.shape) == expected[name].shape
        off = np.abs(found.numpy() - expected[name]).max()
        assert off <= 1e-3 * np.abs(expected[name]).max(), name


@torch.inference_mode()
@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((64, 56, 56), (7, 1, 1)),
        ((16, 224, 224), (1, 1, 1)),
        ((17, 223, 209), (2, 1, 1)),
        ((23, 225, 257), (2, 2, 3)),
        ((1, 31, 33), (1, 1, 1)),
        ((5, 97, 40), (1, 1, 1)),
    ],
)
def test_padding_follows_the_size_of_the_input(
    size: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    model = narrow()
    x = noise(1, 3, *size)
    expected, blocks = plain_features(model.state_dict(), x)
    y = x
    for name in model.blocks:
        y = getattr(model, name)(y)
        assert y.shape == blocks[name].shape, name
        assert (y - blocks[name]).abs().max() <= 1e-4 * blocks[name].abs().max(), name
    found = model.extract_features(x)
    assert found.shape == (1, model.features, *shape) == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 113, 97), (19, 211, 227)])
def test_the_full_network_at_64_frames_and_at_odd_sizes(public: I3D, size: tuple[int, int, int]) -> None:
    x = noise(1, 3, *size)
    expected, _ = plain_features(public.state_dict(), x)
    found = public.extract_features(x)
    assert found.shape == expected.shape and found.shape[:2] == (1, 1024)
    assert (found - expected).abs().max() <= 1e-3 * expected.abs().max()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(4, 5, 6), (3, 8, 9), (7, 7, 7)])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (3, 2), (1, 1), (2, 2)])
def test_a_unit_against_the_definition(size: tuple[int, int, int], kernel: int, stride: int) -> None:
    unit = Unit(2, 3, kernel, stride).eval()
    x = noise(1, 2, *size)
    wanted = slow_convolution(x[0].numpy(), unit.conv3d.weight.numpy(), stride) / np.sqrt(1 + 1e-3)
    found = unit(x)[0].numpy()
    assert found.shape == wanted.shape
    assert np.allclose(found, np.maximum(wanted, 0), atol=1e-5)


def test_padding_gives_the_sizes_of_tensorflow_and_puts_the_odd_zero_behind() -> None:
    for size in range(1, 40):
        for kernel, stride in ((7, 2), (3, 1), (3, 2), (2, 2), (1, 1)):
            before, after = same_padding(size, kernel, stride)
            assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
            assert after - before in (0, 1) and before >= 0


@pytest.mark.parametrize("size", [(1, 1, 1), (4, 5, 6), (7, 8, 9), (2, 12, 13)])
@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)),
                                                ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))])  # fmt: skip
def test_pooling_against_zeros_in_so_many_words(
    size: tuple[int, int, int], kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    x = noise(1, 2, *size).relu()
    pads = [n for s, k, t in zip(size, kernel, stride, strict=True) for n in same_padding(s, k, t)]
    front_last = [pads[4], pads[5], pads[2], pads[3], pads[0], pads[1]]
    wanted = torch.nn.functional.max_pool3d(torch.nn.functional.pad(x, front_last), kernel, stride)
    assert torch.equal(MaxPool(kernel, stride)(x), wanted)


@torch.inference_mode()
def test_folding_changes_no_number_that_matters() -> None:
    model, x = narrow(), noise(2, 3, 16, 64, 64)
    before = model.extract_features(x)
    assert not any(isinstance(module, torch.nn.BatchNorm3d) for module in model.fold().modules())
    assert (model.extract_features(x) - before).abs().max() <= 1e-5 * before.abs().max()


@torch.inference_mode()
def test_windows_of_a_batch_do_not_touch_each_other() -> None:
    model, x = narrow(), noise(3, 3, 16, 64, 64)
    alone = torch.cat([model.extract_features(each[None]) for each in x])
    assert (model.extract_features(x) - alone).abs().max() <= 1e-5 * alone.abs().max()


# Loading


def test_training_mode_is_off_after_loading(public: I3D) -> None:
    assert not public.training and public.logits.conv3d.out_channels == 400


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["BOMB"],)


def test_a_hostile_file_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "went off"))
    torch.save({"logits.conv3d.bias": Bomb()}, tmp_path / "new.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("new.pt", "old.pt"):
        with pytest.raises(CheckpointMissing, match="damaged or no checkpoint"):
            load_i3d(tmp_path / name)
    assert not (tmp_path / "went off").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged or no checkpoint"),
        (b"<html>sign in</html>" * 100, "damaged or no checkpoint"),
        (b"PK\x03\x04" + b"\0" * 500, "damaged or no checkpoint"),
        ([1, 2, 3], "damaged or no checkpoint"),
        ({"a": 1}, "damaged or no checkpoint"),
        ({}, "does not hold the weights of I3D"),
        ({"fc.weight": torch.zeros(2)}, "does not hold the weights of I3D"),
    ],
    ids=["empty", "web page", "broken zip", "a list", "numbers", "nothing", "another network"],
)
def test_what_is_no_checkpoint_is_said_plainly(tmp_path: Path, content: object, said: str) -> None:
    path = tmp_path / "rgb_imagenet.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointMissing, match=said):
        load_i3d(path)


def test_a_missing_truncated_or_narrower_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissing, match="There is no file"):
        load_i3d(tmp_path / "nowhere.pt")
    narrow_one = write_weights(tmp_path / "narrow.pt", NARROW)
    with pytest.raises(CheckpointMissing, match="does not fit"):
        load_i3d(narrow_one)
    (tmp_path / "half.pt").write_bytes(narrow_one.read_bytes()[: narrow_one.stat().st_size // 2])
    with pytest.raises(CheckpointMissing, match="damaged"):
        load_i3d(tmp_path / "half.pt")


@pytest.mark.parametrize("form", ["zip", "legacy", "parallel", "wrapped", "other classes"])
def test_the_forms_in_which_the_public_weights_go_round(tmp_path: Path, form: str) -> None:
    """The first was written by a PyTorch that did not count batches and knew no zip files."""
    state = seeded_weights(shapes_of(I3D(classes=157 if form == "other classes" else 400)))
    content: dict[str, object] = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    if form == "parallel":
        content = {f"module.{name}": value for name, value in content.items()}
    if form == "wrapped":
        content = {"epoch": 3, "state_dict": content}
    path = tmp_path / "rgb_imagenet.pt"
    torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    loaded = load_i3d(path).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex", "whole numbers", "expanded"])
def test_strange_tensors_are_refused(tmp_path: Path, kind: str) -> None:
    state = seeded_weights(shapes_of(I3D()))
    right = state["Mixed_5c.b0.bn.bias"]
    state["Mixed_5c.b0.bn.bias"] = {
        "sparse": right.to_sparse(),
        "meta": right.to("meta"),
        "complex": right.to(torch.complex64),
        "whole numbers": right.to(torch.int64),
        "expanded": torch.zeros(1).expand(1 << 40),
    }[kind]
    torch.save(state, tmp_path / "rgb_imagenet.pt")
    with pytest.raises(CheckpointMissing):
        load_i3d(tmp_path / "rgb_imagenet.pt")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    state = seeded_weights(shapes_of(I3D()))
    state["Mixed_5c.b0.bn.bias"][3] = float("nan")
    torch.save(state, tmp_path / "rgb_imagenet.pt")
    with pytest.raises(CheckpointMissing, match="no numbers"):
        load_i3d(tmp_path / "rgb_imagenet.pt")
