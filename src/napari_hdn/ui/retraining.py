"""A variant of the model in hand: trained without some levels, looked at again, compared."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.ui.comparing import ComparisonJob
from napari_hdn.ui.inspection import InspectionJob
from napari_hdn.ui.training import TrainingJob

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.ui.inspection import Inspected
    from napari_hdn.ui.jobs import Job
    from napari_hdn.ui.parts.levels.retraining import Retraining
    from napari_hdn.ui.session import Session


def retraining_job(session: Session, settings: Retraining, device: str) -> TrainingJob:
    """The training of a variant, with a folder reserved for it.

    Once it is over the piece that was inspected before is inspected again with the variant, and all
    variants are compared on it.

    Raises
    ------
    HDNError, pydantic.ValidationError
        If what is chosen does not fit.
    """
    parent, look = session.chosen_model(), session.inspected
    source, config = settings.source.snapshot(), settings.config(device)
    name = settings.name.text()
    with ExitStack() as if_refused:
        folder = api.reserve_model_folder(name)
        if_refused.callback(folder.rmdir)
        job = TrainingJob(
            session.viewer,
            source,
            config,
            folder,
            start=parent,
            scratch=settings.begin.value(),
            then=None if look is None else lambda variant: _look_again(variant, look),
        )
        if_refused.pop_all()
    return job


def _look_again(variant: HDN, look: Inspected) -> Job:
    off = variant.config.network.deactivated_levels

    def compare() -> Job:
        records = api.variants_of(variant)
        return ComparisonJob(variant, tuple(sorted(off)), records, look.piece, look.device)

    return InspectionJob(variant, look.piece, look.device, earlier=look.inspection, then=compare)
