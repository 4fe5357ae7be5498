"""What can go wrong, one exception type per kind of mistake, worded for microscopists."""

from __future__ import annotations


class HDNError(Exception):
    """Base of every error whose message is meant for the user as it stands."""


class AxesError(HDNError, ValueError):
    """The axes letters do not fit the image."""


class ImageError(HDNError, ValueError):
    """The pixels of an image cannot be used: RGB, labels, NaN, constant, too small."""


class DamagedPlaneError(ImageError):
    """One plane of an image cannot be read, or holds pixels that are no numbers."""


class ConfigurationError(HDNError, ValueError):
    """Settings that contradict each other or the data."""


class NoiseModelError(HDNError, ValueError):
    """A noise model could not be read, or could not be estimated from these images."""


class DeviceError(HDNError, ValueError):
    """A device that this machine does not have."""


class TrainingError(HDNError, RuntimeError):
    """Training cannot go on."""


class ProcessLostError(TrainingError):
    """Another of the processes that train together has ended before its time."""


class StoppedEarly(HDNError, RuntimeError):
    """The user stopped before there was anything to keep."""


class MemoryShortError(HDNError, RuntimeError):
    """The computer or its GPU has not enough free memory."""


_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")  # torch's words


def is_memory_short(error: BaseException) -> bool:
    """Whether Python, numpy or torch ran out of memory; by name and words, as torch may be absent."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"}:
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _NO_MEMORY)


class ModelFolderError(HDNError, RuntimeError):
    """A model folder with a missing, damaged or newer file."""


class RecipeError(HDNError, ValueError):
    """A recipe that cannot be read, or cannot be repeated here."""


class ImageFileError(HDNError, RuntimeError):
    """An image file that cannot be read."""


class ImageLostError(ImageFileError):
    """An image file that is gone or became another while it was used: no more of it can be read now."""


class OutputError(HDNError, RuntimeError):
    """A file that cannot be written: it exists, the disk is full, no permission."""


class ClusterError(HDNError, RuntimeError):
    """Processes that were to share the work are not there, differ, or were lost."""


class ArchiveError(HDNError, RuntimeError):
    """A .zip from which no model can be taken: damaged, foreign, or made to do harm."""
