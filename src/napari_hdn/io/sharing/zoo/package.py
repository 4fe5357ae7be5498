"""Writing a package for the BioImage Model Zoo, proven by the zoo's own checker before it has its name.

What other programs run is one deterministic pass, as TorchScript. The model itself lies beside it,
packed as `napari_hdn.io.sharing.zip_export` packs it, and that alone is read back.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.core.errors import ConfigurationError, HDNError, OutputError, StoppedEarly
from napari_hdn.core.events import Notice, Stop
from napari_hdn.io.disk import check_room, check_writable, writing
from napari_hdn.io.naming import publish
from napari_hdn.io.sharing.contents import PACKED_MODEL, RESUME, files_of
from napari_hdn.io.sharing.events import Exported, SharingEvent, SharingProgress
from napari_hdn.io.sharing.zip_export import leave_out_damaged, write_zip, zip_target
from napari_hdn.io.sharing.zoo.details import ZooDetails, zoo_title

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.restoring.one_pass import OnePass

TAGS = (
    *("denoising", "image-restoration", "unsupervised", "fluorescence-light-microscopy", "2d"),
    *("pytorch", "hdn", "hierarchical-divnoising", "variational-autoencoder", "napari-hdn"),
)
LEAST_TEST_PX = 256
_RELATIVE, _ABSOLUTE = 1e-3, 1e-3  # of the counts, and of the range of the restored image
_MISMATCHED = 100  # pixels in a million
_WEIGHTS, _INPUT, _OUTPUT = "weights.pt", "test_input.npy", "test_output.npy"
_README, _COVER = "README.md", "cover.png"
DESCRIPTION = "rdf.yaml"  # of a package, as the zoo's program names it


def export_zoo(
    folder: Path, target: Path, details: ZooDetails, *, stop: Stop | None = None
) -> Iterator[SharingEvent]:
    """Write a package; the file appears when the checker has passed it, numbered if it has to be.

    Parameters
    ----------
    folder : Path
        Of the model.
    target : Path
        A file that ends in ``.zip``, or a folder.
    details : ZooDetails

    Yields
    ------
    SharingProgress, Notice
    Exported
        Last.

    Raises
    ------
    HDNError
        If ``bioimageio.core`` is not installed.
    ModelFolderError
        If the model cannot be read.
    ConfigurationError
        If the zoo does not take what was said of the model, such as an unknown license.
    OutputError
        If the file cannot be written, or the checker does not pass it.
    StoppedEarly
        If it was stopped; nothing is left behind.
    """
    check_installed()
    from napari_hdn.core import checkpoint
    from napari_hdn.core.restoring.one_pass import OnePass
    from napari_hdn.io.sharing.zoo.documents import takes_typical_curve

    target = zip_target(target, folder)
    yield SharingProgress(0.0, "reading the model")
    model = checkpoint.load(folder)
    one_pass = OnePass(model, details.deactivated_levels)
    files, _ = files_of(folder, training_state=False)
    yield from leave_out_damaged(folder, files)
    size = sum(path.stat().st_size for path in files.values())
    check_writable(target.parent, f"{target.name} cannot be written to {target.parent}")
    check_room(target.parent, 3 * size, target.name)
    yield Notice(
        f"The package holds the names of the images that the model learned from "
        f"({'; '.join(model.summary.data) or 'none'}), and your notes if there are any."
    )
    if (folder / RESUME).exists():
        yield Notice(f"Left out: {RESUME}, which only training on needs.")
    if takes_typical_curve(model):
        yield Notice(
            f"The model has a noise curve for each of {model.noise_model.curves} images; other programs "
            "will take the median one, and restore images that were scaled otherwise worse than "
            "napari-hdn does.",
            "warning",
        )
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    with tempfile.TemporaryDirectory(prefix="napari-hdn-", ignore_cleanup_errors=True) as made:
        parts = Path(made) / "parts"
        parts.mkdir()
        try:
            with writing(target):
                for event in write_zip(folder.name, files, parts / PACKED_MODEL, stop):
                    yield SharingProgress(0.3 * event.fraction, event.doing)
                yield SharingProgress(0.3, "tracing one pass")
                _check(stop)
                _write_parts(parts, model, one_pass, folder.name, details)
                yield SharingProgress(0.5, "describing the model")
                _check(stop)
                whole = Path(made) / "package"
                with _quiet():
                    _save(parts, whole, model, one_pass, folder.name, details)
                yield SharingProgress(0.6, "checking the package as the zoo does")
                _check(stop)
                with _quiet():
                    check_package(whole / DESCRIPTION)
                _check(stop)
                target.parent.mkdir(parents=True, exist_ok=True)
                inside = {path.name: path for path in sorted(whole.iterdir())}
                for event in write_zip(None, inside, beside, stop):
                    yield SharingProgress(0.9 + 0.1 * event.fraction, event.doing)
                yield Exported(publish(beside, target, numbered=True))
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def check_installed() -> None:
    """Whether the zoo's own program is there.

    Raises
    ------
    HDNError
        If not, with what to install.
    """
    try:
        with _quiet():
            import bioimageio.core  # noqa: F401
    except ImportError as error:
        raise HDNError(
            "Packages for the BioImage Model Zoo need bioimageio.core, which is not installed: "
            'pip install "napari-hdn[bioimageio]". A .zip of the model needs nothing more.'
        ) from error


def check_package(path: Path) -> None:
    """Let the zoo's checker validate a package and reproduce its test output, without a network.

    Parameters
    ----------
    path : Path
        A package, or its description in a folder.

    Raises
    ------
    OutputError
        If it does not pass, with what the checker says.
    """
    from bioimageio.core import test_description

    summary = test_description(path)
    if summary.status != "passed":
        errors = [e.msg.partition("\n")[0] for detail in summary.details for e in detail.errors]
        raise OutputError(
            "The package was not kept: the checker of the BioImage Model Zoo does not pass it "
            f"({'; '.join(errors)[:400] or summary.status})."
        )


def _write_parts(
    parts: Path, model: HDN, one_pass: OnePass, name: str, details: ZooDetails
) -> None:
    import torch

    from napari_hdn.core.restoring.one_pass import save_torchscript
    from napari_hdn.io.sharing.zoo.documents import cover, readme
    from napari_hdn.io.sharing.zoo.test_images import noisy_image

    save_torchscript(one_pass, parts / _WEIGHTS)
    side = -(-max(LEAST_TEST_PX, least_side(one_pass)) // one_pass.multiple) * one_pass.multiple
    noisy = noisy_image(model, side)
    with torch.no_grad():
        restored = one_pass(torch.from_numpy(noisy)).numpy()
    np.save(parts / _INPUT, noisy, allow_pickle=False)
    np.save(parts / _OUTPUT, restored, allow_pickle=False)
    page = readme(model, zoo_title(details.title, name), details, one_pass)
    (parts / _README).write_text(page, encoding="utf-8")
    (parts / _COVER).write_bytes(cover(noisy[0, 0], restored[0, 0]))


def least_side(one_pass: OnePass) -> int:
    """Of an image of which something is left when the halo is cut off; a multiple of what is needed."""
    return (2 * one_pass.halo // one_pass.multiple + 1) * one_pass.multiple


def _save(
    parts: Path, target: Path, model: HDN, one_pass: OnePass, name: str, details: ZooDetails
) -> None:
    from bioimageio.spec import ValidationContext, save_bioimageio_package_as_folder
    from pydantic import ValidationError

    with ValidationContext(root=parts, log_warnings=False, progressbar=False):
        try:
            described = _described(parts, model, one_pass, name, details)
        except ValidationError as error:
            raise ConfigurationError(_in_words(error)) from error
        # a .zip of its own would hold the time, and stay open while it is checked
        save_bioimageio_package_as_folder(described, output_path=target)


def _described(parts: Path, model: HDN, one_pass: OnePass, name: str, details: ZooDetails) -> Any:
    import torch
    from bioimageio.spec.model import v0_5 as spec

    from napari_hdn.io.sharing.zoo.documents import description, papers

    def file(name: str) -> Any:
        return spec.FileDescr(source=parts / name)

    def sides(**size: Any) -> list[Any]:
        return [spec.SpaceInputAxis(id=spec.AxisId(a), **size) for a in "yx"]

    channel = spec.ChannelAxis(channel_names=[spec.Identifier("counts")])
    image = spec.IntervalOrRatioDataDescr(type="float32")
    step = spec.ParameterizedSize(min=least_side(one_pass), step=one_pass.multiple)
    noisy = spec.InputTensorDescr(
        id=spec.TensorId("noisy"),
        description="noisy image in camera counts, neither normalised nor scaled",
        axes=[spec.BatchAxis(), channel, *sides(size=step, concatenable=True)],
        test_tensor=file(_INPUT),
        data=image,
    )
    restored = spec.OutputTensorDescr(
        id=spec.TensorId("restored"),
        description="restored image in camera counts; one deterministic pass",
        axes=[
            *(spec.BatchAxis(), channel),
            *(
                spec.SpaceOutputAxisWithHalo(
                    id=spec.AxisId(a),
                    size=spec.SizeReference(tensor_id=noisy.id, axis_id=spec.AxisId(a)),
                    halo=one_pass.halo,
                )
                for a in "yx"
            ),
        ],
        test_tensor=file(_OUTPUT),
        data=image,
    )
    span = float(np.ptp(np.load(parts / _OUTPUT, allow_pickle=False)))
    tolerance = spec.ReproducibilityTolerance(
        relative_tolerance=_RELATIVE,
        absolute_tolerance=_ABSOLUTE * span,
        mismatched_elements_per_million=_MISMATCHED,
    )
    about = spec.BioimageioConfig(
        reproducibility_tolerance=[tolerance],
        architecture_type="hierarchical VAE",
        architecture_description="ladder VAE of HDN; the means of all levels are decoded once",
        task="image restoration (denoising)",
        model_parameter_count=model.parameters,
    )
    return spec.ModelDescr(
        name=zoo_title(details.title, name),
        description=description(model, details, one_pass),
        authors=[spec.Author(name=author) for author in details.authors],
        cite=[spec.CiteEntry(text=text, doi=spec.Doi(doi)) for text, doi in papers(model)],
        license=details.license,  # type: ignore[arg-type]
        tags=[*dict.fromkeys((*TAGS, *details.tags))],
        documentation=file(_README),
        covers=[file(_COVER)],
        attachments=[file(PACKED_MODEL)],
        inputs=[noisy],
        outputs=[restored],
        weights=spec.WeightsDescr(
            torchscript=spec.TorchscriptWeightsDescr(
                source=parts / _WEIGHTS,
                pytorch_version=spec.Version(torch.__version__.partition("+")[0]),
            )
        ),
        config=spec.Config(bioimageio=about),
    )


def _in_words(error: Any) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    if "license" in where:
        return (
            f"{str(first['input'])[:60]!r} is no license that the BioImage Model Zoo knows; choose an "
            "SPDX name such as CC-BY-4.0 or CC0-1.0."
        )
    return f"The BioImage Model Zoo does not take {where or 'the description'}: {first['msg']}."


def _check(stop: Stop | None) -> None:
    if stop is not None and stop.requested:
        raise StoppedEarly("Stopped; nothing was exported.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the checker's log off the terminal, and the program's random numbers as they were.

    The checker seeds NumPy's and torch's own generators.
    """
    import torch

    numbers = np.random.get_state()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), _no_log():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            np.random.set_state(numbers)


@contextlib.contextmanager
def _no_log() -> Iterator[None]:
    try:
        from loguru import logger  # of bioimageio
    except ImportError:
        yield
        return
    logger.disable("bioimageio")
    try:
        yield
    finally:
        logger.enable("bioimageio")
