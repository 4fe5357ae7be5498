"""Whether the plane and the region that a recipe speaks of are there: anything may be in a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hdn.api import FileStack
from napari_hdn.core.errors import RecipeError

if TYPE_CHECKING:
    from napari_hdn.core.recipes.jobs import JobImage


def check_place(recorded: JobImage, stack: FileStack) -> None:
    """Whether plane and region of a recipe are in the image.

    Raises
    ------
    RecipeError
        If not.
    """
    if recorded.plane is not None:
        sizes = [
            n
            for a, n in zip(stack.leading_axes, stack.leading_shape, strict=True)
            if recorded.role != "samples" or a != "S"
        ]
        fits = len(recorded.plane) == len(sizes)
        if not fits or any(i >= n for i, n in zip(recorded.plane, sizes, strict=False)):
            raise RecipeError(
                f"{stack.name} has no plane {', '.join(map(str, recorded.plane))}, of which the recipe "
                f"speaks; its planes are {' x '.join(map(str, sizes)) or 'one'}."
            )
    if recorded.region is not None:
        height, width = stack.plane_shape
        check_inside(recorded.region, (0, height, 0, width), stack.name)


def check_inside(
    inner: tuple[int, int, int, int], outer: tuple[int, int, int, int], name: str
) -> None:
    """Whether a region (y0, y1, x0, x1) lies in another.

    Raises
    ------
    RecipeError
        If not, or it holds no pixels.
    """
    y0, y1, x0, x1 = inner
    inside = outer[0] <= y0 < y1 <= outer[1] and outer[2] <= x0 < x1 <= outer[3]
    if not inside:
        raise RecipeError(
            f"The region y {y0} to {y1}, x {x0} to {x1} of the recipe does not lie in {name} (y "
            f"{outer[0]} to {outer[1]}, x {outer[2]} to {outer[3]})."
        )
