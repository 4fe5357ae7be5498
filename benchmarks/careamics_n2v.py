"""N2V of careamics: prediction of an image and a training step; runs in an environment of its own.

    python -m venv /tmp/careamics-venv
    /tmp/careamics-venv/bin/pip install -c constraints.txt torch==2.13.0 "setuptools<80"
    /tmp/careamics-venv/bin/pip install -c constraints.txt careamics
    python benchmarks/speed.py --careamics /tmp/careamics-venv/bin/python

Knows nothing of napari-hdn. Its network, loss, masking and optimizer as it configures them by default
(UNet, depth 2, 32 channels, float32), without Lightning's loop and without files, which is to its
advantage.
"""

from __future__ import annotations

import argparse
import warnings

import torch
from timing import take_turns

# a torchvision that was built for another torch misses its operators; N2V needs none of them
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        torch.library.define(
            f"torchvision::{_name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor"
        )

PATCH = 64


def main() -> None:
    """Print two lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    from importlib.metadata import version

    from careamics.config import create_n2v_configuration
    from careamics.lightning import FCNModule
    from careamics.transforms import N2VManipulate

    config = create_n2v_configuration(
        "speed", data_type="array", axes="YX", patch_size=[PATCH, PATCH],
        batch_size=arguments.batch, num_epochs=1,
    )  # fmt: skip
    module = FCNModule(config.algorithm_config)
    optimizer = torch.optim.Adam(module.model.parameters(), **module.optimizer_params)
    image = torch.randn(1, 1, arguments.side, arguments.side)
    patches = torch.randn(arguments.batch, 1, PATCH, PATCH)
    mask = N2VManipulate()

    def predict() -> None:
        module.model.eval()
        with torch.inference_mode():
            module.model(image)

    def step() -> None:
        module.model.train()
        optimizer.zero_grad()
        masked = [mask(patch.numpy()) for patch in patches]
        columns = [torch.stack([torch.as_tensor(a) for a in c]) for c in zip(*masked, strict=True)]
        loss = module.loss_func(module.model(columns[0]), *columns[1:])
        loss.backward()
        optimizer.step()

    times = take_turns({"predict": predict, "step": step}, arguments.repeats, arguments.clock)
    pixels = arguments.side**2 / times["predict"] / 1e6
    print(f"careamics {version('careamics')}, N2V, torch {torch.__version__}")
    print(f"  restoring {arguments.side} x {arguments.side}: {times['predict']:.2f} s, "
          f"{pixels:.2f} million pixels/s")  # fmt: skip
    print(f"  training step, {arguments.batch} x {PATCH}^2: {times['step']:.2f} s")


if __name__ == "__main__":
    main()
