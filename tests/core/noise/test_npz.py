import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.gmm import GaussianMixture
from napari_hdn.core.noise.npz import npz_bytes, read_npz

WEIGHT = np.array(
    [[0.0, 1], [-2, 3], [4, 2], [3, 4], [2, 3], [4, 5], [1, 0.5], [0, 1], [-1, 0]],
    dtype=np.float32,
)
GOOD = {
    "trained_weight": WEIGHT,
    "min_signal": np.array([100.0]),
    "max_signal": np.array([400.0]),
    "min_sigma": np.array(50.0),
}


def saved(path, **changes):
    arrays = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    np.savez(path, **arrays)
    return path


def formula(x, s):
    """p(x | s) as earlier tools compute it; the least variance is ``min_sigma`` itself."""
    t = (s - 100) / 300
    poly = WEIGHT[:, 0] + WEIGHT[:, 1] * t
    alpha = np.exp(poly[6:]) / np.exp(poly[6:]).sum()
    variance = np.maximum(np.exp(WEIGHT[3:6]) @ [1, t], 50.0)
    mean = poly[:3] - alpha @ poly[:3] + s
    return float(
        alpha @ (np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance))
    )


def test_files_mean_what_they_mean_elsewhere(tmp_path):
    model = read_npz(saved(tmp_path / "camera.npz"))
    assert model.signal_range == (100.0, 400.0) and model.components == 3
    assert model.source == "from camera.npz"
    for x, s in ((120.0, 110.0), (250.0, 260.0), (395.0, 380.0)):
        mine = float(torch.exp(model.log_likelihood(torch.tensor(x), torch.tensor(s))))
        assert mine == pytest.approx(formula(x, s), rel=1e-4)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_numbers_may_be_of_no_or_one_dimension(tmp_path, shape):
    numbers = {k: np.asarray(GOOD[k]).reshape(shape) for k in GOOD if k != "trained_weight"}
    model = read_npz(saved(tmp_path / "a.npz", **numbers))
    assert float(model.min_sigma) == 50


def test_integers_and_compressed_files(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **{**GOOD, "min_signal": 100, "max_signal": 400})
    assert read_npz(tmp_path / "a.npz").signal_range == (100.0, 400.0)


def test_written_files_are_read_again_and_by_numpy(tmp_path):
    model = GaussianMixture(WEIGHT, 100.0, 400.0, 50.0)
    path = tmp_path / "camera.npz"
    path.write_bytes(npz_bytes(model))
    again = read_npz(path)
    assert torch.equal(again.weight, model.weight) and torch.equal(again.line, model.line)
    assert again.signal_range == model.signal_range
    assert float(again.min_sigma) == float(model.min_sigma)
    with np.load(path) as file:
        assert sorted(file) == sorted(GOOD)
        assert file["min_signal"].shape == (1,) and file["min_sigma"].shape == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"min_sigma": None},
            "min_sigma is missing; it holds max_signal, min_signal, trained_weig",
        ),
        ({"min_sigma": None, "min_signal": None}, "min_signal and min_sigma are missing"),
        ({"trained_weight": np.zeros((4, 2))}, "a.npz cannot be used: .* is 4 x 2"),
        ({"trained_weight": np.zeros(3)}, "three rows for each component .* is 3"),
        ({"trained_weight": WEIGHT + np.nan}, "18 of the 18 coefficients"),
        (
            {"trained_weight": np.array([[1, "x"], [{}, None], [0, 0]], dtype=object)},
            "trained_weight",
        ),
        ({"trained_weight": np.array([["a"]] * 3)}, "must hold numbers; it is of type <U1"),
        ({"trained_weight": WEIGHT.astype(complex)}, "of type complex128"),
        ({"trained_weight": WEIGHT > 0}, "of type bool"),
        ({"trained_weight": np.zeros((600, 600))}, "trained_weight takes 2.88 MB"),
        ({"trained_weight": np.zeros((300, 40))}, "up to 64 components"),
        ({"min_signal": np.array([400.0])}, "they are 400 and 400"),
        ({"min_signal": np.array([1.0, 2.0])}, "min_signal must be one number; .* array of 2"),
        ({"max_signal": np.array([np.inf])}, "max_signal is inf"),
        ({"min_sigma": np.array([-3.0])}, "not -3"),
    ],
)
def test_mistakes_are_told(tmp_path, changes, message):
    with pytest.raises(NoiseModelError, match=message) as error:
        read_npz(saved(tmp_path / "a.npz", **changes))
    assert "a.npz" in str(error.value)


def member(shape, content=b"\0" * 64):
    """An .npy file that claims a shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def renamed_within(content):
    """The same archive, with a name of 65,000 characters in the local header of its first member."""
    return content[:26] + b"\xff\xfd" + content[28:]


def whole(path):
    return saved(path).read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda p: b"", "is no .npz file, or is damaged"),
        (lambda p: b"weights of a camera", "is no .npz file"),
        (lambda p: whole(p)[:400], "is no .npz file, or is damaged"),
        (lambda p: whole(p)[:200] + b"\0" * 40 + whole(p)[240:], "a.npz"),
        (lambda p: archive(), "missing; it holds nothing"),
        (
            lambda p: archive(
                **{**dict.fromkeys(GOOD, member((1,))), "trained_weight": member((10**14,))}
            ),
            "trained_weight is not an array of numbers",
        ),
        (lambda p: archive(**{k: member((9, 10**6)) for k in GOOD}), "not an array of numbers"),
        (lambda p: archive(**dict.fromkeys(GOOD, b"text")), "must hold numbers"),
        (lambda p: b"before" + whole(p), "a.npz"),
        (lambda p: b"\x80\x04K\x01.", "is no .npz file"),
        # zipfile's own words quote both names, of which one is all NULs
        (lambda p: renamed_within(whole(p)), "is no .npz file, or is damaged"),
    ],
)  # fmt: skip
def test_damaged_files(tmp_path, content, message):
    path = tmp_path / "a.npz"
    path.write_bytes(content(path))
    with pytest.raises(NoiseModelError, match=message) as error:
        read_npz(path)
    assert "a.npz" in str(error.value) and len(str(error.value)) < 400


def test_a_single_array_and_a_missing_file(tmp_path):
    np.save(tmp_path / "a.npy", WEIGHT)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(NoiseModelError, match=r"a\.npz is no \.npz file"):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(NoiseModelError, match="cannot be read: No such file"):
        read_npz(tmp_path / "none.npz")
    with pytest.raises(NoiseModelError, match="cannot be read"):
        read_npz(tmp_path)
