r"""Train on a benchmark task, restore its test images, print the score the task defines.

    python benchmarks/quality.py --data ../shared/data --task fmd_bpae --preset fast --minutes 10

Everything is estimated by the program itself; nothing of the truth is used but for the score. The
tasks and their scores are those of ``bench/datasets.py`` beside the data folder, except that the
loader is told where the data lies. ``--set`` changes any field of the training config, such as
``--set network.dropout=0.1 batch_size=8``. ``--calibrate`` makes the noise model from a source that the
task has, such as repeats of one field, before training:

    python benchmarks/quality.py --data ../shared/data --task fmd_bpae --steps 1500 \
        --calibrate repeats --noise-model gmm
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tifffile

import napari_hdn as hdn
from napari_hdn import api

# what is restored: (label, fields of RestorationConfig)
WAYS = (
    ("one pass, means", {"samples": 1}),
    ("antithetic pair", {"samples": 2}),
    ("pair x 4 flips", {"samples": 2, "flips": True}),
)
# levels whose switching off is scored where the noise has a structure
SWITCHED_OFF = {"stripes": ((1,), (1, 2), (1, 2, 3))}


def load_datasets(data: Path) -> ModuleType:
    """The module ``bench/datasets.py`` beside the data folder."""
    path = data.resolve().parent / "bench" / "datasets.py"
    spec = importlib.util.spec_from_file_location("datasets", path)
    if spec is None or spec.loader is None or not path.is_file():
        sys.exit(f"There is no {path}; --data must be the data folder that it lies beside.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["datasets"] = module
    spec.loader.exec_module(module)
    return module


def with_settings(config: hdn.TrainingConfig, settings: list[str]) -> hdn.TrainingConfig:
    """A config with fields replaced, given as ``name.name=json``."""
    values: dict[str, Any] = config.model_dump()
    for setting in settings:
        name, _, text = setting.partition("=")
        *path, last = name.split(".")
        place = values
        for part in path:
            place = place[part]
        try:
            place[last] = json.loads(text)
        except json.JSONDecodeError:
            place[last] = text
    return hdn.TrainingConfig.model_validate(values)


def calibrate(task: Any, source: str, kind: str, curves: str, data: Path) -> Path:
    """A noise model of the task's images, as a file.

    ``repeats`` and ``pair`` use the repeats of one field where the task has them (the clean image is
    then the mean of the others); else ``pair`` uses the means of 400 shots of W2S.
    """
    images, clean = task.train, None
    if source in ("repeats", "pair"):
        if task.repeats is not None:
            images = task.repeats
        if source == "pair" and task.repeats is not None:
            images, clean = task.repeats[0], task.repeats[1:].mean(axis=0)
        elif source == "pair":
            files = [data / f"w2s_widefield/fov{i:03d}_ch0_gt.tif" for i in range(1, 13)]
            clean = np.stack([tifffile.imread(f) for f in files])
    axes = {2: "YX", 3: "TYX" if source == "repeats" else "SYX"}
    stack = api.ImageStack(images, axes[images.ndim], name=task.name)
    config = api.CalibrationConfig(source=source, model=kind, curves=curves)
    clean_stack = None if clean is None else api.ImageStack(clean, axes[clean.ndim], name="clean")
    *_, finished = api.calibrate([stack], config, clean=clean_stack)
    print(f"# calibrated {source}: {finished.calibration.noise_model.describe()}", flush=True)
    for check in finished.calibration.checks:
        print(f"#   {check.verdict:8s} {check.name}: {check.text}")
    path = Path(tempfile.mkdtemp()) / "noise.json"
    return api.save_calibration(finished.calibration, path)


def train(task: Any, config: hdn.TrainingConfig, report_s: float) -> hdn.HDN:
    """Train on a task's images, printing what the user of a dock would be told."""
    shown = time.monotonic()
    validation = ""
    for event in api.train([api.ImageStack(task.train, "SYX", name=task.name)], config):
        match event:
            case api.TrainingStarted(noise_model=noise, parameters=parameters):
                print(f"# {parameters:,} parameters; {noise}", flush=True)
            case api.Notice(text=text):
                print(f"# {text}", flush=True)
            case api.Validation(reconstruction=reconstruction, kl_per_level=kl):
                levels = " ".join(f"{k:.4f}" for k in kl)
                validation = f"validation {reconstruction:.4f} + KL {levels}"
            case api.TrainingStep() if time.monotonic() - shown > report_s:
                shown = time.monotonic()
                print(f"# step {event.step} {event.elapsed_s:.0f} s: {validation}", flush=True)
            case api.TrainingFinished(model=model):
                print(
                    f"# {model.summary.steps} steps in {model.summary.seconds:.0f} s; {validation}"
                )
                return model
    raise AssertionError("training ends with its model")


def score(task: Any, model: hdn.HDN, **choices: Any) -> tuple[float, float]:
    """Mean score over the test images, and seconds a megapixel."""
    began = time.monotonic()
    restored = [model.restore(np.asarray(image), "YX", **choices).mean for image in task.test]
    seconds = time.monotonic() - began
    pixels = sum(image.size for image in task.test)
    return task.mean_score(restored), 1e6 * seconds / pixels


def main() -> None:
    """Run one task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--preset", default="fast", choices=sorted(api.PRESETS))
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float)
    budget.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--calibrate", choices=("repeats", "pair", "series", "images"))
    parser.add_argument("--noise-model", default="auto")
    parser.add_argument("--curves", default="auto")
    parser.add_argument("--save", type=Path, help="keep the model in this folder")
    arguments = parser.parse_args()

    datasets = load_datasets(arguments.data)
    if arguments.task not in datasets.LOADERS:
        sys.exit(f"There is no task {arguments.task}; choose of {', '.join(datasets.LOADERS)}.")
    task = datasets.LOADERS[arguments.task]()
    config = hdn.preset(
        arguments.preset, minutes=arguments.minutes, steps=arguments.steps, seed=arguments.seed
    )
    config = with_settings(config, arguments.set)
    if min(task.train.shape[-2:]) < config.patch_px:  # digits of 28 x 28
        config = with_settings(config, ["patch_px=16", "network.levels=3", "batch_size=128"])
    if arguments.calibrate:
        chosen = (arguments.calibrate, arguments.noise_model, arguments.curves)
        noise = {"source": "file", "path": calibrate(task, *chosen, arguments.data)}
        noise = {**config.noise.model_dump(), **noise}
        config = hdn.TrainingConfig.model_validate({**config.model_dump(), "noise": noise})
    print(f"# {task.name}: noisy input {task.mean_score(task.test):.2f} dB")
    model = train(task, config, report_s=30.0)
    if arguments.save:
        model.save(arguments.save)
    for label, choices in WAYS:
        decibel, speed = score(task, model, **choices)
        print(f"{task.name:14s} {label:32s} {decibel:6.2f} dB   {speed:.2f} s a megapixel")
    for off in SWITCHED_OFF.get(arguments.task, ()):
        if max(off) < config.network.levels:
            decibel, speed = score(task, model, samples=2, deactivated_levels=off)
            label = f"pair, levels {off} on their prior"
            print(f"{task.name:14s} {label:32s} {decibel:6.2f} dB   {speed:.2f} s a megapixel")


if __name__ == "__main__":
    main()
