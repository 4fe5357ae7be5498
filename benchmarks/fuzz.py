"""Fuzz the readers of our own formats: whatever a file holds, a result or an error of ours.

    python benchmarks/fuzz.py --minutes 30 --model small/model

Takes whole files of each format, changes bytes, cuts, or puts odd values into their JSON (drawn by
hypothesis), and reads them. Anything but a result or an `HDNError`, more than 5 s or some GB of
memory is a finding, told with its place; its files are kept in ``--keep``. Targets: noise models
(.json, .npz), model folders, direct networks, recipes, archives of models.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import io
import json
import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from napari_hdn import api
from napari_hdn.cli.recorded_places import check_place
from napari_hdn.core.errors import HDNError

SLOW_S = 5.0
MOST_BYTES = 6 * 2**30  # of address space, of which torch itself takes about 2
ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, -1, 10**30, 1e308, -1e308, 5e-324, 1e-30, float("nan"), float("inf")])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "../..", "\0", "é" * 300, "x" * 10**5])
    | st.just([])
    | st.just({})
    | st.lists(st.integers(-5, 5) | st.floats(), max_size=6)
    | st.just([[[[[]]]]])
    | st.dictionaries(st.text(max_size=4), st.integers(), max_size=3)
)


@dataclass(frozen=True)
class Target:
    """What is read, and the whole files that it begins with."""

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], object]  # given a folder with these files


def places(data: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a JSON value."""
    found = [here]
    if isinstance(data, dict):
        for key, value in data.items():
            found += places(value, (*here, key))
    elif isinstance(data, list):
        for number, value in enumerate(data[:20]):
            found += places(value, (*here, number))
    return found


def changed_json(draw: Callable[..., Any], content: bytes) -> bytes:
    """The same JSON with one to three places changed, removed or added to."""
    data = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(places(data)))
        how = draw(st.sampled_from(["replace", "remove", "add", "repeat"]))
        if not at:
            if how == "replace" and draw(st.integers(0, 20)) == 0:
                return json.dumps(copy.deepcopy(draw(ODD))).encode()
            continue
        parent = data
        for key in at[:-1]:
            parent = parent[key]
        if how == "replace":
            parent[at[-1]] = copy.deepcopy(draw(ODD))
        elif how == "remove":
            del parent[at[-1]]
        elif how == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=10))] = copy.deepcopy(draw(ODD))
        elif isinstance(parent, list):
            parent.extend(parent[:50])
    text = json.dumps(data)
    if draw(st.integers(0, 30)) == 0:
        text = "[" * 10**5 + text
    return text.encode("utf-8", "surrogatepass")


def changed_bytes(draw: Callable[..., Any], content: bytes) -> bytes:
    """Cut, with bytes flipped, filled or put in; often near the beginning, where headers are."""
    near = st.integers(0, min(300, max(len(content) - 1, 0)))
    anywhere = st.integers(0, max(len(content) - 1, 0))
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(near | anywhere | anywhere.map(lambda k: max(len(content) - 1 - k % 300, 0)))
        how = draw(st.sampled_from(["cut", "flip", "fill", "insert", "number"]))
        if how == "cut":
            data = data[:at]
        elif how == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "fill":
            data[at : at + 8] = bytes([draw(st.sampled_from([0, 0x20, 0x7F, 0xFF]))]) * 8
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=12))
        elif how == "number":
            value = draw(st.sampled_from([0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**62]))
            data[at : at + 8] = value.to_bytes(8, "little")
    return bytes(data)


def changed_archive(draw: Callable[..., Any], content: bytes) -> bytes:
    """The same archive with one member changed, renamed or left out; often without checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    if draw(st.integers(0, 3)):
        members = {n: c for n, c in members.items() if not n.endswith("checksums.json")}
    bad = draw(st.sampled_from(sorted(members)))
    how = draw(st.integers(0, 5))
    if how == 0:
        del members[bad]
    elif how == 1:
        odd = ["../../x", "/etc/x", "C:\\x", "a" * 300, "con", bad.upper(), "x\0y", "x/" * 50 + "y"]
        members[draw(st.sampled_from(odd))] = members.pop(bad)
    else:
        members[bad] = changed(draw, bad, members[bad])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, held in members.items():
            archive.writestr(member, held)
    return out.getvalue()


def changed(draw: Callable[..., Any], name: str, content: bytes) -> bytes:
    is_json = name.endswith(".json")
    if name.endswith(".zip") and draw(st.booleans()):
        return changed_archive(draw, content)
    if is_json and draw(st.integers(0, 3)):
        return changed_json(draw, content)
    return changed_bytes(draw, content)


def use_noise_model(path: Path) -> None:
    from napari_hdn.core.calibration.record import Calibration

    loaded = api.load_calibration(path)
    model = loaded.noise_model if isinstance(loaded, Calibration) else loaded
    model.describe()
    signal = torch.linspace(0, 1000, 64).reshape(1, 1, 8, 8)
    model.variance(signal)
    model.log_likelihood(signal, signal)


def use_model(folder: Path) -> None:
    model = api.load_model(folder)
    model.noise_model.describe()
    if model.parameters < 10**6:
        model.restore(np.full((16, 16), 200, np.float32) + np.eye(16, dtype=np.float32), "YX")


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def targets(model: Path, direct: Path | None, noise: list[Path], work: Path) -> list[Target]:
    """Small whole files of each format."""
    found = [
        Target(
            f"noise model {path.stem}",
            {"n.json": path.read_bytes()},
            lambda f: use_noise_model(f / "n.json"),
        )
        for path in [model / "noise_model.json", *noise]
    ]
    found.append(Target("model folder", files_of(model), use_model))
    rng = np.random.default_rng(0)
    np.savez(
        work / "n.npz",
        trained_weight=rng.normal(size=(9, 3)).astype(np.float32),
        min_signal=np.array([0.0]),
        max_signal=np.array([1000.0]),
        min_sigma=np.array([1.0]),
    )
    npz = (work / "n.npz").read_bytes()
    found.append(Target("noise model .npz", {"n.npz": npz}, lambda f: use_noise_model(f / "n.npz")))
    if direct is not None:
        found.append(Target("direct network", files_of(direct), api.load_direct))
    recipe = (model / "recipe.json").read_bytes()
    found.append(Target("recipe of a training", {"r.json": recipe}, use_recipe))
    restored = restored_recipe(model, work)
    found.append(Target("recipe of a restoration", {"r.json": restored}, use_recipe))
    for kind, content in job_recipes(model, work).items():
        found.append(Target(f"recipe of a job: {kind}", {"r.json": content}, use_recipe))
    archive = work / "model.zip"
    for _ in api.export_model(model, archive):
        pass
    found.append(Target("archive", {"m.zip": archive.read_bytes()}, import_archive))
    return found


def restored_recipe(model: Path, work: Path) -> bytes:
    np.save(work / "a.npy", np.random.default_rng(0).poisson(200.0, (32, 32)).astype(np.float32))
    config = api.RestorationConfig(samples=2, device="cpu")
    for _ in api.restore_batch(api.load_model(model), [work / "a.npy"], config, work / "out"):
        pass
    return (work / "out" / "a_hdn-recipe.json").read_bytes()


def job_recipes(model: Path, work: Path) -> dict[str, bytes]:
    """Of what is neither a training nor a restoration, one of each kind."""
    (stack,) = api.open_images([work / "a.npy"])
    image = api.JobInput("image", stack, (), (0, 16, 0, 16))
    again = api.JobInput("second frame", stack, ())
    settings = {
        "segmentation": (api.SegmentationConfig(), [image, api.JobInput("truth", stack)]),
        "trust": (api.TrustSettings(), [image, again]),
        "levels": (api.LevelsSettings(background=((0, 4, 0, 9),)), [image]),
        "generation": (api.GenerationConfig(), [api.JobInput("real image", stack, ())]),
        "evaluation": (api.EvaluationSettings(), [image, again]),
        "distillation": (api.DirectConfig(), [image, image]),
    }
    made = {}
    for kind, (config, images) in settings.items():
        recipe = api.job_recipe(kind, config, images, model=api.load_model(model))
        made[kind] = recipe.model_dump_json().encode()
    return made


def use_recipe(folder: Path) -> None:
    recipe = api.read_recipe(folder / "r.json")
    api.methods_text(recipe)
    api.methods_bibtex(recipe)
    if isinstance(recipe, api.JobRecipe):
        api.recipe_remark(recipe)
        for image in recipe.job.images:
            for stack in api.job_images(recipe, image.role, folder):
                check_place(image, stack)
        return
    api.check_repeatable(recipe, None)
    if recipe.restoration is not None:
        api.recipe_remark(recipe)
    api.recipe_images(recipe, folder)


def import_archive(folder: Path) -> None:
    os.environ["NAPARI_HDN_MODELS"] = str(folder / "library")
    for _ in api.import_model(folder / "m.zip"):
        pass
    if left := [p for p in (folder / "library").iterdir() if p.name.startswith(".")]:
        raise AssertionError(f"left behind: {left}")


def fuzz(target: Target, seconds: float, keep: Path) -> tuple[int, collections.Counter[str]]:
    """Read changed files for so long; how many, and what was found."""
    findings: collections.Counter[str] = collections.Counter()
    ends = collections.Counter()
    until = time.monotonic() + seconds
    tried = 0

    def once(data: st.DataObject) -> None:
        nonlocal tried
        tried += 1
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            folder.mkdir()
            bad = data.draw(st.sampled_from(sorted(target.files)))
            for name, content in target.files.items():
                new = changed(data.draw, name, content) if name == bad else content
                (folder / name).write_bytes(new)
            began = time.monotonic()
            finding = ""
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    target.read(folder)
                ends["read all the same"] += 1
            except HDNError as error:
                ends["refused"] += 1
                text = str(error)
                if len(text) > 1500:
                    finding = f"message of {len(text)} characters: {text[:80]!r}"
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                frames = traceback.extract_tb(error.__traceback__)
                ours = [f for f in frames if "napari_hdn" in f.filename] or frames
                last = ours[-1]
                where = f"{Path(last.filename).name}:{last.lineno}"
                finding = f"{type(error).__name__} at {where}: {str(error)[:160]!r}"
            if time.monotonic() - began > SLOW_S:
                finding = finding or f"took {time.monotonic() - began:.0f} s"
            if finding:
                key = finding[: finding.find(":") + 7] if ":" in finding else "slow"
                if key not in seen:
                    seen.add(key)
                    kept = keep / f"{target.name.replace(' ', '-')}-{len(seen)}"
                    shutil.copytree(folder, kept, dirs_exist_ok=True)
                    print(f"  {target.name}, {bad}: {finding} -> {kept}", flush=True)
                findings[key] += 1

    with tempfile.TemporaryDirectory() as place:  # what is loaded once takes its time
        for name, content in target.files.items():
            (Path(place) / name).write_bytes(content)
        with contextlib.suppress(HDNError):
            target.read(Path(place))
    seen: set[str] = set()
    rounds = 0
    while time.monotonic() < until:
        run = settings(
            max_examples=100,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(seed(rounds)(given(st.data())(once)))
        run()
        rounds += 1
    print(
        f"{target.name}: {tried} files tried, {dict(ends)}, findings {dict(findings)}", flush=True
    )
    return tried, findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--model", type=Path, required=True, help="a small model folder")
    parser.add_argument("--direct", type=Path, help="a direct network's folder")
    parser.add_argument("--noise", type=Path, nargs="*", default=[], help="noise models (.json)")
    parser.add_argument("--only", help="part of a target's name")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/fuzz"))
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    torch.set_num_threads(1)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        chosen = [
            t
            for t in targets(arguments.model, arguments.direct, arguments.noise, Path(work))
            if arguments.only is None or arguments.only in t.name
        ]
        total = 0
        for target in chosen:
            tried, _ = fuzz(target, 60 * arguments.minutes / len(chosen), arguments.keep)
            total += tried
    print(f"{total} files in all")


if __name__ == "__main__":
    main()
