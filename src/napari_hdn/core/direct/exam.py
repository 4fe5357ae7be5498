"""How near a direct network comes to the mean (or median) of many posterior samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_hdn.core.direct.lessons import EXAM_SAMPLES, Exam
from napari_hdn.core.direct.network import DirectNetwork
from napari_hdn.core.direct.student import Marks
from napari_hdn.core.restoring.convergence import decibels
from napari_hdn.core.restoring.padding import reflect_pad
from napari_hdn.core.restoring.planes import Prepared

NO_SPREAD = 1e-8  # of the range squared: samples that do not differ leave nothing to compare with


def examine(network: DirectNetwork, prepared: Prepared, exams: Sequence[Exam]) -> Marks:
    """Marks of a network on held-out pieces, each in units of its own spread."""
    lost, pair_lost, error, span = [], [], [], []
    for exam in exams:
        height, width = exam.image.shape
        padded = reflect_pad(exam.image, network.config.multiple)
        signal = network.once(padded, prepared.autocast())[:height, :width]
        made = prepared.normalisation.invert(signal, exam.curve)
        distance = float(((made - exam.right) ** 2).mean())
        reach = max(float(exam.right.max() - exam.right.min()), 1e-12)
        spread = max(exam.variance, NO_SPREAD * reach**2)
        lost.append(decibels(max(0.0, distance - exam.doubt), spread))
        pair = float(((exam.pair - exam.right) ** 2).mean())
        pair_lost.append(decibels(max(0.0, pair - exam.doubt), spread))
        error.append(max(distance, 1e-12 * reach**2))
        span.append(reach)
    decibel = [20 * math.log10(s) - 10 * math.log10(e) for s, e in zip(span, error, strict=True)]
    return Marks(
        loss_db=float(np.mean(lost)),
        pair_loss_db=float(np.mean(pair_lost)),
        agreement_db=float(np.mean(decibel)),
        tiles=len(exams),
        samples=EXAM_SAMPLES,
    )
