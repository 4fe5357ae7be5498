import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.weights import WeightsError, load_weights
from simulated import TINY, network


def _state():
    return {k: v.clone().contiguous() for k, v in network().state_dict().items()}


def _load(path, config=TINY):
    return load_weights(lambda: Ladder(config), path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def test_weights_come_back_as_they_were(path):
    save_file(_state(), path)
    loaded = _load(path).state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in _state().items())
    assert all(t.device.type == "cpu" for t in loaded.values())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s: s.pop("last.weight"), "last.weight is missing"),
        (lambda s: s.update(extra=torch.zeros(3)), "extra does not belong"),
        (lambda s: s.update({"last.bias": torch.zeros(7)}), r"size mismatch for last.bias: \[7\]"),
        (lambda s: s.update({"last.bias": s["last.bias"].half()}), r"last.bias: \[1\] \(F16\)"),
        (lambda s: s["last.bias"].fill_(torch.nan), "last.bias holds values that are no numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(path, change, complaint):
    state = _state()
    change(state)
    save_file(state, path)
    with pytest.raises(WeightsError, match=complaint):
        _load(path)


def test_a_config_of_a_huge_network_asks_for_no_memory(path):
    """256 channels, 10 blocks and 8 levels would be a gigabyte, and half of it before a word is said."""
    save_file(_state(), path)
    huge = NetworkConfig(levels=8, channels=256, blocks=10, latent_channels=128)
    resource = pytest.importorskip("resource")  # not on Windows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match="is missing"):
        _load(path, huge)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    "header",
    [
        b"{" * 200_000,
        json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode(),
        json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}).encode(),
        json.dumps({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}).encode(),
    ],
)
def test_headers_that_lie(path, header):
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(WeightsError):
        _load(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 100, b"\x80\x04K\x01."])
def test_files_that_are_none(path, content):
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        _load(path)
