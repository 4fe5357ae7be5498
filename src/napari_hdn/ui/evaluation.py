"""The job that holds layers against a truth or a second frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import ImageStack
from napari_hdn.ui.jobs import Job

if TYPE_CHECKING:
    from napari_hdn.api import HDN, Evaluation


class EvaluationJob(Job):
    """Compare images plane by plane; what it came to stays in `result`.

    Parameters
    ----------
    images : list of ImageStack
    reference : ImageStack
        The truth, or a second frame.
    span : float or None
        The range of PSNR in counts; None for max - min of the truth, or of each image.
    model : HDN, optional
        Given for a second frame, whose noise its noise model tells.
    """

    kind = "evaluation"

    def __init__(
        self,
        images: list[ImageStack],
        reference: ImageStack,
        span: float | None,
        model: HDN | None = None,
    ) -> None:
        n = len(images)
        super().__init__(f"evaluating {n} layer{'s' if n != 1 else ''}")
        self.result: Evaluation | None = None
        self._images: list[ImageStack] = images
        self._reference: ImageStack | None = reference
        self._span, self._model = span, model

    @property
    def has_result(self) -> bool:
        """Once it is known."""
        return self.result is not None

    def work(self) -> Iterator[Any]:
        """Compare, in the worker's thread."""
        if self._model is None:
            span = "truth" if self._span is None else self._span
            yield from api.evaluate(self._images, self._reference, span, stop=self.stop)
        else:
            yield from api.evaluate_second_frame(
                self._model, self._images, self._reference, self._span, stop=self.stop
            )

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, api.EvaluationProgress):
            self.fraction, self.remaining_s = event.fraction, event.remaining_s
        elif isinstance(event, api.Evaluation):
            self.result = event
            planes, total, empty = (
                sum(getattr(r, k) for r in event.rows) for k in ("planes", "total", "empty")
            )
            left_out = f" Left out: {empty}." if empty else ""
            if event.stopped:
                self.end(f"Stopped: {planes} of {total} planes are compared.{left_out}")
            else:
                self.fraction = 1.0
                self.end(f"Compared {planes} plane{'s' if planes != 1 else ''}.{left_out}")

    def close(self) -> None:
        """Let go of model and images; the numbers stay."""
        self._images, self._reference, self._model = [], None, None
