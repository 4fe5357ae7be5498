"""How much of a budget in minutes is used, as a function of steps alone.

The learning rate falls with the share of the budget that is used. Were that read off the clock at
every step, no training could be repeated; so it is a line of steps between a few knots, which are
kept. A new knot is made where the clock has come away from the line.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_hdn.core.recipes.parts import Knot

TOLERANCE = 1e-3  # of the budget; the rate differs by at most 0.16 % of its peak


class Pace:
    """A line of steps between knots.

    Parameters
    ----------
    knots : sequence of (step, fraction, fraction a step)
        Of a training that is repeated.
    """

    def __init__(self, knots: Sequence[Knot] = ()) -> None:
        self.knots: list[Knot] = list(knots)
        self._recorded = bool(knots)
        self._at = 0  # the knot of the last step asked for

    def follow(self, step: int, clock: float) -> None:
        """Take in what the clock says before a step; nothing where knots were given.

        Parameters
        ----------
        step : int
        clock : float
            Share of the budget that is used, 0..1.
        """
        if self._recorded:
            return
        if not self.knots:
            self.knots.append((step, round(clock, 6), 0.0))
        elif abs(clock - self.fraction(step)) > TOLERANCE:
            since, before, _ = self.knots[-1]
            if step == since:  # tried again, in smaller parts
                self.knots.pop()
            speed = max(0.0, clock - before) / max(1, step - since)
            self.knots.append((step, round(clock, 6), round(speed, 9)))

    def fraction(self, step: int) -> float:
        """Share of the budget that is used before a step, 0..1."""
        if not self.knots:
            return 0.0
        if self._at >= len(self.knots) or self.knots[self._at][0] > step:
            self._at = 0
        while self._at + 1 < len(self.knots) and self.knots[self._at + 1][0] <= step:
            self._at += 1
        since, used, speed = self.knots[self._at]
        return min(1.0, used + speed * max(0, step - since))
