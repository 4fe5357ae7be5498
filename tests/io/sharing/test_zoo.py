"""Packages for the BioImage Model Zoo: checked by its own program, without a network."""

import builtins
import io
import socket
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from napari_hdn import api
from napari_hdn.core import checkpoint
from napari_hdn.core.errors import ArchiveError, ConfigurationError, HDNError, StoppedEarly
from napari_hdn.io.models.library import models_folder
from napari_hdn.io.sharing.zoo import package
from napari_hdn.io.sharing.zoo.details import ZooDetails, zoo_title
from sharing import contents, restored, save_tiny

# of the zoo's program, which warns of what it does itself
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ADA = ZooDetails(authors=("Ada Lovelace", " Grace Hopper "), tags=("confocal",))


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A package, and the model folder it was made of."""
    place = tmp_path_factory.mktemp("zoo")
    folder = save_tiny(place / "my cells")
    with pytest.MonkeyPatch.context() as patched:  # the first test has the file itself checked
        patched.setattr(package, "check_package", lambda path: None)
        *told, done = api.export_model(folder, place / "zoo.zip", zoo=ADA)
    return folder, done.path, told


@pytest.fixture
def described(made, offline):
    from bioimageio.spec import load_model_description

    return load_model_description(made[1])


def test_the_checker_of_the_zoo_passes_it(made, offline):
    from bioimageio.core import test_description as check

    summary = check(made[1])
    assert summary.status == "passed", summary
    names = [d.name for d in summary.details]
    assert any("Reproduce test outputs" in n for n in names)
    assert sum("batch_size: 2" in n for n in names) == 3  # of three sizes
    assert not [e for d in summary.details for e in d.errors]


def test_a_package_whose_output_does_not_reproduce_is_not_kept(folder, tmp_path, monkeypatch):
    real, numbers = package._write_parts, np.random.get_state()[1].copy()

    def wrong(parts, *args):
        real(parts, *args)
        output = np.load(parts / "test_output.npy")
        np.save(parts / "test_output.npy", output + 0.05 * np.ptp(output))

    monkeypatch.setattr(package, "_write_parts", wrong)
    with pytest.raises(HDNError, match=r"does not pass it .*65536 of 65536 elements disagree"):
        list(api.export_model(folder, tmp_path / "zoo.zip", zoo=ADA))
    assert list(tmp_path.iterdir()) == []
    assert (np.random.get_state()[1] == numbers).all()  # the checker seeds them


def test_what_it_says_of_the_model(made, described):
    model = checkpoint.load(made[0])
    assert described.name == "HDN my cells"
    assert [a.name for a in described.authors] == ["Ada Lovelace", "Grace Hopper"]
    assert str(described.license) == "CC-BY-4.0" and {"denoising", "confocal"} <= {*described.tags}
    assert [str(c.doi) for c in described.cite] == ["10.48550/arXiv.2104.01374"]
    axes = {a.id: a for a in described.inputs[0].axes}
    assert list(axes) == ["batch", "channel", "y", "x"]
    assert (axes["y"].size.min, axes["y"].size.step) == (132, 4)  # more than the halo, 2 levels
    assert {a.halo for a in described.outputs[0].axes if a.id in ("y", "x")} == {64}
    assert described.inputs[0].data.type == "float32" and not described.inputs[0].preprocessing[1:]
    tolerance = described.config.bioimageio.reproducibility_tolerance[0]
    assert tolerance.relative_tolerance <= 1e-3
    assert described.config.bioimageio.model_parameter_count == model.parameters
    packed = zipfile.ZipFile(made[1])
    page = packed.read("README.md").decode()
    assert "## Validation" in page and "no uncertainty" in page and "100 to 350 counts" in page
    picture = Image.open(io.BytesIO(packed.read("cover.png")))
    assert picture.size == (512, 256) and np.asarray(picture).std() > 20
    notices = [e.text for e in made[2] if isinstance(e, api.Notice)]
    assert "cells TYX 4 x 64 x 64" in notices[0]


def test_what_other_programs_compute_is_a_restoration_from_the_means(made, described):
    """Through the zoo's own pipeline, whole and in blocks with the halo, at another size."""
    from loguru import logger

    logger.disable("bioimageio")
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.digest_spec import create_sample_for_model

    image = np.random.default_rng(2).poisson(110, (240, 320)).astype(np.float32) * 2
    wanted = checkpoint.load(made[0]).restore(image, "YX", samples=1, precision="float32").mean
    sample = create_sample_for_model(described, inputs={"noisy": image[None, None]})
    with create_prediction_pipeline(described, devices=["cpu"]) as pipeline:
        whole = pipeline.predict_sample_without_blocking(sample)
        tiled = pipeline.predict_sample_with_fixed_blocking(
            sample, {"noisy": {"batch": 1, "channel": 1, "y": 240, "x": 200}}
        )
    inner, span = (slice(32, -32), slice(32, -32)), np.ptp(wanted)  # it pads at the borders
    for made_of, least in ((whole, 1e-4), (tiled, 1e-3)):
        got = made_of.members["restored"].data.to_numpy()[0, 0]
        assert got.shape == wanted.shape
        assert np.abs(got - wanted)[inner].max() < least * span


def test_the_test_images_are_synthetic_and_in_the_range_of_the_data(made):
    packed = zipfile.ZipFile(made[1])
    noisy = np.load(io.BytesIO(packed.read("test_input.npy")), allow_pickle=False)
    assert noisy.shape == (1, 1, 256, 256) and noisy.dtype == np.float32
    assert 100 < np.quantile(noisy, 0.05) < np.quantile(noisy, 0.95) < 360
    fine = np.diff(noisy[0, 0], axis=-1).var() / 2
    assert fine == pytest.approx(2 * noisy.mean() - 190, rel=0.1)  # noise of the model's curve


def test_the_model_comes_back_bit_for_bit(made, offline):
    *_, done = api.import_model(made[1])
    wanted = contents(made[0])
    del wanted["resume.ckpt"]
    assert contents(done.folder) == wanted and done.folder.name == "my cells"
    np.testing.assert_array_equal(restored(done.folder), restored(made[0]))


def test_the_weights_for_other_programs_are_never_run(made, tmp_path, monkeypatch):
    """Not even read: other bytes in their place change nothing."""
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(made[1]) as given, zipfile.ZipFile(path, "w") as out:
        for name in given.namelist():
            out.writestr(name, b"\x80\x04evil" if name == "weights.pt" else given.read(name))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was loaded"))
    *_, done = api.import_model(path)
    assert checkpoint.load(done.folder).summary.steps == 6


def test_a_model_of_another_program_is_refused(made, tmp_path):
    path = tmp_path / "foreign.zip"
    with zipfile.ZipFile(made[1]) as given, zipfile.ZipFile(path, "w") as out:
        for name in given.namelist():
            if name != "napari-hdn-model.zip":
                out.writestr(name, given.read(name))
    with pytest.raises(ArchiveError, match="napari-hdn did not make: it holds no HDN"):
        list(api.import_model(path))
    assert list(models_folder().iterdir()) == []


def test_a_packed_model_within_that_is_hostile(made, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as out:
        out.writestr("../evil", b"")
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("rdf.yaml", b"")
        out.writestr("napari-hdn-model.zip", inner.getvalue())
    with pytest.raises(ArchiveError, match="outside the model's folder"):
        list(api.import_model(path))
    assert list(models_folder().iterdir()) == []


def test_other_levels_off(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(package, "check_package", lambda path: None)  # takes its time
    details = ADA.model_copy(update={"deactivated_levels": (1,)})
    about = folder / "config.json"
    about.write_text(about.read_text().replace('"path": null', '"path": "/home/ada/n.npz"'))
    *_, done = api.export_model(folder, tmp_path / "off.zip", zoo=details)
    packed = zipfile.ZipFile(done.path)
    inner = zipfile.ZipFile(io.BytesIO(packed.read("napari-hdn-model.zip")))
    assert b'"path": "n.npz"' in inner.read("my cells/config.json")
    assert "level 1 off" in packed.read("README.md").decode()
    noisy, output = (np.load(io.BytesIO(packed.read(f"test_{n}put.npy"))) for n in ("in", "out"))
    model = checkpoint.load(folder)
    choices = {"samples": 1, "precision": "float32", "deactivated_levels": (1,)}
    wanted = model.restore(noisy[0, 0], "YX", **choices).mean
    assert np.abs(output[0, 0] - wanted).max() < 1e-4 * np.ptp(wanted)
    with pytest.raises(ConfigurationError, match="Level 2 cannot be switched off"):
        details = ADA.model_copy(update={"deactivated_levels": (2,)})
        list(api.export_model(folder, tmp_path / "b.zip", zoo=details))


def test_what_the_zoo_does_not_take(folder, tmp_path):
    with pytest.raises(ValueError, match="names who made the model"):
        ZooDetails(authors=(" ",))
    with pytest.raises(ConfigurationError, match="'mine' is no license"):
        odd = ADA.model_copy(update={"license": "mine"})
        list(api.export_model(folder, tmp_path / "b.zip", zoo=odd))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("title", "name", "expected"),
    [
        ("", "my cells,1", "HDN my cells 1"),
        ("µ", "x", "HDN model"),
        ("A (b) c_d-e", "x", "A (b) c_d-e"),
        ("x" * 300, "x", "x" * 128),
    ],
)
def test_titles(title, name, expected):
    assert zoo_title(title, name) == expected


def test_without_the_extra_it_is_said_what_to_install(folder, tmp_path, monkeypatch):
    real = builtins.__import__

    def blocked(name, *args, **kwargs):
        if name.startswith("bioimageio"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(HDNError, match=r'pip install "napari-hdn\[bioimageio\]"'):
        list(api.export_model(folder, tmp_path / "b.zip", zoo=ADA))
    *_, done = api.export_model(folder, tmp_path / "b.zip")  # that needs nothing
    assert done.path.exists()


def test_stopped_leaves_nothing(folder, tmp_path):
    for doing in ("tracing", "describing", "checking"):
        stop = api.Stop()
        with pytest.raises(StoppedEarly, match="nothing was exported"):
            for event in api.export_model(folder, tmp_path / "b.zip", zoo=ADA, stop=stop):
                if isinstance(event, api.SharingProgress) and event.doing.startswith(doing):
                    stop.request()
    assert list(tmp_path.iterdir()) == []
