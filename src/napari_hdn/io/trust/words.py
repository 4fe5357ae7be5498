"""Plain sentences of a trust report: what may be concluded from a restoration, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hdn.core.trust.judgement import Judgement

TITLES = {
    "residuals": "Noise model",
    "residuals in places": "Residuals in places",
    "spread": "Spread of the samples",
    "calibration": "Size of the error bars",
    "pure noise": "Pure noise",
    "trust map": "Trust map",
    "cut off": "Saturated or black",
}
NOT_DONE = {
    "prior": "the comparison of prior and image",
    "control": "the restoration of pure noise",
    "repeats": "the comparison with repeats",
}
CAVEATS = (
    "All of this takes the noise to be what the noise model says. Noise that is correlated between "
    "pixels (lines, camera patterns) is structure to a network with all levels on: it is restored "
    "with the "
    "image, and neither residuals nor spread show it as wrong. Check the noise for structure before "
    "training.",
    "Trust is no probability. Trust near 1 says that neither residuals nor spread speak against a "
    "place, not that it "
    "is right: a structure that the network removes and that is weaker than the noise in windows "
    "of some 800 pixels "
    "goes unseen.",
    "Blur of the microscope, drift, bleaching and what the camera cut off are not undone and not "
    "judged.",
)


def conclude(judgement: Judgement) -> list[str]:
    """What these numbers allow to say of this image."""
    words = []
    spread, control = judgement.spread, judgement.control
    if control is not None:
        invented = max(f.invented * f.sigma for f in control.flats)
        words.append(
            f"Smooth structures of less than about {3 * invented:.3g} counts (3 x what pure noise "
            "became, at worst "
            f"{invented:.3g} counts RMS) may be invented; do not interpret them."
        )
    if spread is None or not spread.measured:
        words.append(
            "The standard deviation is the network's own opinion. It ranks places by their "
            "certainty; it is no error "
            "bar."
        )
    elif spread.verdict == "bad":
        words.append(
            f"The standard deviation is off by a factor of {spread.factor:.2f}: use no error bars "
            "without it."
        )
    elif spread.uneven:
        words.append(
            f"The standard deviation times {spread.factor:.2f} is right on the whole only: see in the "
            "curve for which sizes it holds, and use no error bars where it does not."
        )
    else:
        words.append(
            f"Standard deviations times {spread.factor:.2f} may be used as error bars of single "
            "pixels, for images "
            "taken like these. Neighbours err together: errors of sums and means over areas are "
            "larger than "
            "independent pixels would have."
        )
    words.append(
        f"{judgement.trust.low_share:.1%} of the area has a trust below 0.5: measure nothing there "
        "without the raw "
        "image."
    )
    check = judgement.residuals.check
    if check is not None and check.verdict != "good":
        words.append(
            "The residuals are not the noise model's noise: either details were lost, or the noise "
            "model is wrong. "
            "Intensities averaged over areas are affected least."
        )
    return words
