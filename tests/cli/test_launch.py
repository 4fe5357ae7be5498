"""Training in several processes from the terminal: how it begins, ends, and goes on."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from commands import TINY, weights
from napari_hdn import api
from napari_hdn.cli import main
from napari_hdn.cli.launch import Launch
from napari_hdn.core.errors import ConfigurationError

NETWORK = TINY.network.model_copy(update={"levels": 2})
NEVER = 1_000_000  # steps
ANY_FREE_PORT = ["--standalone", "--nproc_per_node", "2"]


@pytest.fixture
def small(tmp_path):
    def written(**changes):
        path = tmp_path / "small.json"
        config = TINY.model_copy(update={"network": NETWORK, **changes})
        path.write_text(config.model_dump_json())
        return str(path)

    return written


class Running:
    """The command in processes of its own; the first line about a step has come."""

    def __init__(self, command, before=("-m",)):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, *before, "napari_hdn", *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ,
        )  # fmt: skip
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if " step " in line:
                break
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.ranks = {}
        for process in sorted(below, key=psutil.Process.create_time):
            with contextlib.suppress(psutil.NoSuchProcess):
                rank = process.environ().get("LOCAL_RANK")
                if rank is not None:  # what a rank begins itself for a moment inherits it
                    self.ranks.setdefault(rank, process)
        assert set(self.ranks) == {"0", "1"}, self.process.stderr.read()

    def end(self):
        """Exit code, what was said, errors; and nobody stayed behind."""
        out, err = self.process.communicate(timeout=240)
        assert not any(p.is_running() for p in self.ranks.values())
        return self.process.returncode, "".join(self.said) + out, err


@pytest.fixture
def running():
    begun = []

    def begin(*args, **kwargs):
        begun.append(Running(*args, **kwargs))
        return begun[-1]

    yield begin
    for one in begun:
        for process in [one.process, *one.ranks.values()]:
            if process.poll() is None if process is one.process else process.is_running():
                process.kill()
        one.process.communicate()


def saved_steps(folder: Path) -> int:
    return json.loads((folder / "config.json").read_text())["summary"]["steps"]


def one_process_after(steps, images, command, out, monkeypatch):
    """The weights that one process has after so many steps."""
    config = api.TrainingConfig.model_validate_json(Path(command[3]).read_text())
    stop = api.Stop()
    with monkeypatch.context() as patch:
        patch.setattr("napari_hdn.core.events.RateLimit.ready", lambda self: True)
        for event in api.train(api.open_images([images]), config, folder=out, stop=stop):
            if isinstance(event, api.TrainingStep) and event.step == steps:
                stop.request()
    return torch.load(out / "resume.ckpt", weights_only=True)["network"]


def test_a_killed_process_ends_the_run_which_goes_on_as_if_unbroken(
    noisy_tif, small, tmp_path, running, capsys, monkeypatch
):
    out = tmp_path / "my model"
    command = ["train", str(noisy_tif), "--config", small(steps=NEVER), "--out", str(out)]
    run = running([*command, "--devices", "2"])
    run.ranks["1"].kill()
    code, said, err = run.end()
    assert code == 2 and said.count("2 processes on CPU") == 1
    steps = saved_steps(out)
    (line,) = err.splitlines()
    expected = (
        f"napari-hdn: Process 2 of 2 ended unexpectedly at step {steps}; the model with {steps} steps "
        f"is in {out}, and its training can be continued. To go on: napari-hdn "
    )
    assert line.startswith(expected) and "Traceback" not in err
    # nothing of the step that was not finished is in it
    left = torch.load(out / "resume.ckpt", weights_only=True)["network"]
    alone = one_process_after(steps, str(noisy_tif), command, tmp_path / "alone", monkeypatch)
    assert left["first.weight"].abs().max() > 0.1
    for name, value in alone.items():
        torch.testing.assert_close(left[name], value, rtol=0.02, atol=0.02, msg=name)
    again = shlex.split(line.removeprefix(expected))
    assert again[-2:] == ["--devices", "2"]
    more = str(steps + 2)
    assert main([*again[:-2], "--steps", more]) == 0  # on one device now
    assert f"from step {steps}" in capsys.readouterr().out
    assert saved_steps(out) == steps + 2


@pytest.mark.slow
def test_without_the_leading_process_the_last_saved_model_is_there(
    noisy_tif, small, tmp_path, running
):
    out = tmp_path / "m"
    config = small(steps=NEVER, checkpoint_minutes=1e-4)
    run = running(
        ["train", str(noisy_tif), "--config", config, "--out", str(out), "--devices", "2"]
    )
    while not (out / "resume.ckpt").exists():
        assert run.process.poll() is None, run.process.stderr.read()
        time.sleep(0.05)
    run.ranks["0"].kill()
    code, _, err = run.end()
    steps = saved_steps(out)
    assert code == 2 and err.count("\n") == 1
    assert "process 1 of 2 ended unexpectedly (killed by signal 9); the model with" in err
    assert f"with {steps} steps, as it was saved last, is in {out}. To go on: napari-hdn" in err
    assert main(["train", str(noisy_tif), "--resume", "--out", str(out), "--steps", "1"]) == 0


def test_ctrl_c_stops_all_with_a_model(noisy_tif, small, tmp_path, running):
    command = ["train", str(noisy_tif), "--config", small(steps=NEVER), "--devices", "2"]
    run = running(command)
    run.process.send_signal(signal.SIGINT)
    code, said, err = run.end()
    assert code == 130 and err == ""
    (model,) = api.list_models()  # one folder among the saved models, though two processes trained
    assert said.count("Stopping, and keeping what there is.") == said.count("Model: ") == 1
    assert f"Stopped after {saved_steps(model)} steps" in said
    assert api.load_model(model).can_continue
    assert f"--resume --out {model} --devices 2" in said


@pytest.mark.slow
def test_torchrun_decides_how_many(noisy_tif, small, tmp_path):
    command = ["train", str(noisy_tif), "--config", small(steps=12), "--out"]
    before = ["-m", "torch.distributed.run", *ANY_FREE_PORT, "-m", "napari_hdn"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *before, *command, str(tmp_path / "two")],
        capture_output=True, text=True, timeout=240, env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Model: ") == done.stdout.count("2 processes on CPU") == 1
    assert main([*command, str(tmp_path / "one")]) == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=0.02, err_msg=name)
    assert sorted(p.name for p in tmp_path.glob("*/.*")) == []


@pytest.mark.slow
def test_a_recipe_is_repeated_by_as_many_processes(noisy_tif, small, tmp_path):
    def command(*words):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-m", "napari_hdn", *map(str, words)],
            capture_output=True, text=True, timeout=240, env=environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    out, by_two = tmp_path / "two", ["--devices", "2"]
    command("train", noisy_tif, "--config", small(steps=6), "--out", out, *by_two)
    command("train", noisy_tif, "--resume", "--steps", 9, "--out", out, *by_two)
    said = command("run", out, "--out", tmp_path / "again")
    assert "The weights are identical to the recorded ones, bit for bit" in said
    assert "2 processes on CPU" in said and "Not all is as it was" not in said
    recorded, again = weights(out), weights(tmp_path / "again")
    assert all(np.array_equal(again[name], value) for name, value in recorded.items())
    parts = api.read_recipe(tmp_path / "again").training.parts
    assert [(p.first_step, p.environment.processes) for p in parts] == [(0, 2), (6, 2)]
    # by hand, one process takes other sums
    command("train", noisy_tif, "--resume", "--steps", 12, "--out", out)
    recipe = api.read_recipe(out)
    assert api.recipe_processes(recipe) == 1


def test_where_the_other_machines_are_has_to_be_known():
    with pytest.raises(ConfigurationError, match=r"MASTER_PORT, NODE_RANK is not set"):
        Launch(2, 2).environment({"MASTER_ADDR": "10.0.0.1"})
    given = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1", "OTHER": "x"}
    told = Launch(4, 2).environment(given)
    assert told.items() >= given.items()
    assert (told["WORLD_SIZE"], told[api.OURS]) == ("8", "4")
    alone = Launch(2, 1).environment({"OMP_NUM_THREADS": "3"})
    assert (alone["MASTER_ADDR"], alone["NODE_RANK"]) == ("127.0.0.1", "0")
    assert alone["OMP_NUM_THREADS"] == "3" and int(alone["MASTER_PORT"]) > 1023


MISTAKES = [
    ("--devices 0", "--devices takes a number from 1, not 0"),
    ("--num-nodes 2", "MASTER_ADDR, MASTER_PORT, NODE_RANK is not set"),
    ("--resume --batch 8 --out m", "leave out --batch"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_are_told_before_processes_begin(noisy_tif, capsys, options, message):
    assert main(["train", str(noisy_tif), *options.split()]) == 2
    assert message in capsys.readouterr().err
