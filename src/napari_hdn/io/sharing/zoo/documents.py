"""What a package says for people: a page about the model, and its cover."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoring.one_pass import OnePass
from napari_hdn.io.pictures import contrast, grey
from napari_hdn.io.sharing.contents import PACKED_MODEL
from napari_hdn.io.sharing.zoo.details import ZooDetails

HDN_PAPER = (
    "Prakash M., Delbracio M., Milanfar P., Jug F. (2022). Interpretable Unsupervised Diversity "
    "Denoising and Artefact Removal. ICLR 2022.",
    "10.48550/arXiv.2104.01374",
)
GMM_PAPER = (
    "Krull A., Vicar T., Prakash M., Lalit M., Jug F. (2020). Probabilistic Noise2Void: Unsupervised "
    "Content-Aware Denoising. Frontiers in Computer Science 2.",
    "10.3389/fcomp.2020.00005",
)


def papers(model: HDN) -> list[tuple[str, str]]:
    """What to cite: texts with their DOIs."""
    mixture = "mixture" in model.noise_model.describe().lower()
    return [HDN_PAPER, GMM_PAPER] if mixture else [HDN_PAPER]


def description(model: HDN, details: ZooDetails, one_pass: OnePass) -> str:
    """One or two sentences."""
    return details.description.strip() or (
        f"Hierarchical DivNoising, trained on noisy images alone: {model.config.network.levels} latent "
        f"levels, {_off(one_pass)}; one deterministic pass, camera counts in and out."
    )


def readme(model: HDN, title: str, details: ZooDetails, one_pass: OnePass) -> str:
    """The page about the model, in Markdown."""
    done, low, high = model.summary, model.summary.data_low, model.summary.data_high
    cited = "\n".join(f"- {text} doi:{doi}" for text, doi in papers(model))
    return f"""# {title}

{description(model, details, one_pass)}

Made by {", ".join(details.authors)} with napari-hdn {done.version}; {details.license}.

## What it does

Hierarchical DivNoising (HDN) learns from noisy images alone what images of a kind look like, given a
model of the camera's noise, and restores what the noise hides. This one was trained for
{done.steps_in_all} steps; its network has {model.config.network.levels} latent levels (1 = finest),
{_off(one_pass)}. Noise model: {model.noise_model.describe()}.

## What this package holds for other programs, and what not

The TorchScript weights are **one deterministic pass**: the means of all latent levels are decoded once
(`samples=1` in napari-hdn). That approximates the mean of many samples of the posterior, which is
somewhat nearer to the truth, and it gives **no uncertainty**: no standard deviation, no samples.
Between the pass and the same setting in napari-hdn there are only differences of rounding.

- **Input**: camera counts as float32, axes `bcyx`, one channel. Do not normalise or scale them: that is
  done inside, for images from about {low:.6g} to {high:.6g} counts. Other cameras, gains and offsets
  need a model of their own.
- **Output**: the restored image in counts, of the same size.
- **Tiles**: sides are multiples of {one_pass.multiple} px; {one_pass.halo} px at each border of a tile
  lack context and are cut off.
{_curves(model)}
The whole model is in `{PACKED_MODEL}`: *Import* in the dock *Manage models* of napari-hdn, or
`napari-hdn import` with this package, gives it back bit for bit, with samples, uncertainty and levels
that can be switched.

## Validation

Nothing says how good a restoration of *your* images is but a measurement on them. Record a field several
times, or once with much more light; restore one noisy frame, and compare with the average of the frames
that were not restored (PSNR, SSIM), beside the noisy frame itself. Look at the difference between noisy
and restored image: it should hold noise and no structures. Structures that appear in the restored image
alone are not data.

The test images of this package are synthetic: smooth structures with noise of the noise model, in the
range of the training data. They test that a program computes what it should, not how good the model is.

## Cite

{cited}
"""


def cover(noisy: np.ndarray, restored: np.ndarray) -> bytes:
    """A PNG twice as wide as high: a noisy image, and what the model makes of it, in one contrast."""
    black, white = contrast([restored])
    sheet = np.concatenate([grey(image, black, white) for image in (noisy, restored)], axis=1)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    return file.getvalue()


def _off(one_pass: OnePass) -> str:
    off = [i for i, c in enumerate(one_pass.choices, 1) if c != "mean"]
    if not off:
        return "none of them off"
    return f"level{'s' * (len(off) > 1)} {', '.join(map(str, off))} off"


def _curves(model: HDN) -> str:
    if not takes_typical_curve(model):
        return ""
    return (
        f"- **Brightness**: the {model.noise_model.curves} training images were scaled apart, and "
        "napari-hdn estimates for each image how. This pass takes the median of them: images that were "
        "scaled otherwise come out worse than in napari-hdn.\n"
    )


def takes_typical_curve(model: HDN) -> bool:
    """Whether napari-hdn estimates a noise curve for each image, which a pass alone cannot."""
    return model.normalisation.stabilised and model.noise_model.curves > 1
