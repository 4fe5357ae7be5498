"""What a calibration looks like: the right numbers in the plots, signs and words."""

from dataclasses import replace

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from calibrated import BAD, DOUBTFUL, make_calibration, striped_structure
from napari_hdn.core.calibration.judging import SMOOTH_PX
from napari_hdn.ui.parts.calibration_view import CalibrationView
from napari_hdn.ui.parts.plots.variance import spoken_counts


@pytest.fixture
def view(session, qtbot):
    view = CalibrationView(session)
    qtbot.addWidget(view)
    view.resize(400, 1400)
    return view


@pytest.fixture
def show(view, session, qtbot):
    def show(*checks, **kwargs):
        calibration = make_calibration(*checks, **kwargs)
        session.set_calibration(calibration, None)
        view.show()
        qtbot.waitExposed(view)
        return calibration

    return show


def test_measured_and_modelled_variance(view, show, qtbot):
    calibration = show()
    measured = calibration.measured[0]
    plot = view.variance
    x, y = plot.points.getData()
    np.testing.assert_array_equal(x, measured.signal)
    np.testing.assert_array_equal(y, measured.variance)
    error = measured.variance * np.sqrt(2 / measured.number)
    np.testing.assert_allclose(plot.bars.opts["top"], 2 * error)
    np.testing.assert_allclose(plot.bars.opts["bottom"], 2 * error + measured.rounding)
    x, y = plot.model.getData()
    np.testing.assert_allclose(y, 2 * x - 190, rtol=1e-5)
    low, high = plot.top.viewRange()[1]
    assert low <= 0 and high > max(y.max(), (measured.variance + 2 * error).max())
    ranges = [p.viewRange()[0] for p in (plot.top, plot.bottom)]
    assert ranges[1] == pytest.approx(ranges[0], abs=2)  # linked


def test_the_histogram_shows_what_is_not_covered(view, show):
    calibration = show(signals=(150, 300))
    plot, histogram = view.variance, calibration.histogram
    edges, heights = plot.histogram.getData()
    np.testing.assert_array_equal(edges, histogram.edges)
    assert np.all(np.diff(heights) <= 0) and heights[0] > heights[-1] >= 0
    np.testing.assert_allclose(  # shares on a logarithmic axis
        heights[0] - heights[50], np.log10(histogram.pixels[0] / histogram.pixels[50])
    )
    step = 150 / 23  # half a bin on either side belongs to it, and the noise of a local mean
    noise = 3 * np.sqrt(calibration.measured[0].variance[[0, -1]] / (4 * np.pi * SMOOTH_PX**2))
    (a, b), (c, d) = plot.uncovered
    assert (a, b) == pytest.approx((105, 150 - step - noise[0]))
    assert c == pytest.approx(300 + step + noise[1]) and 400 < d <= 500
    regions = [region.getRegion() for _, region in plot._shades]
    assert len(regions) == 4  # in both plots
    centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    share = histogram.pixels[(centres < b) | (centres > c)].sum()
    assert f"not measured, {100 * share:.2g} % of the pixels" in plot.hint.text()
    show(signals=(104, 520))
    assert plot.uncovered == [] and plot._shades == []
    assert "not measured" not in plot.hint.text()


def test_a_curve_for_each_image(view, show):
    calibration = show(curves=3)
    assert view.curve.isVisible() and view.curve.maximum() == 3
    view.curve.setValue(3)
    x, y = view.variance.model.getData()
    np.testing.assert_allclose(y, 4 * x - 390, rtol=1e-5, atol=1)
    np.testing.assert_array_equal(
        view.variance.points.getData()[1], calibration.measured[2].variance
    )
    show(curves=3, measured=calibration.measured[:1])  # only the first image's is kept
    view.curve.setValue(2)
    assert view.variance.points.getData()[0] is None or not len(view.variance.points.getData()[0])
    show()
    assert not view.curve.isVisible()


def density_at_line(view):
    counts, density = view.density.density.getData()
    area = np.trapezoid(density, counts)
    mean = np.trapezoid(density * counts, counts) / area
    std = np.sqrt(np.trapezoid(density * (counts - mean) ** 2, counts) / area)
    return area, mean, std


def test_dragging_the_line_shows_the_density_there(view, show, qtbot):
    show()
    histogram_median = 105 + 45 * np.log(2)
    assert view.variance.signal == pytest.approx(histogram_median, abs=3)
    for signal in (180.0, 400.0):
        view.variance.line.setValue(signal)
        sigma = np.sqrt(2 * signal - 190)
        area, mean, std = density_at_line(view)
        assert area == pytest.approx(1, abs=0.005)
        assert mean == pytest.approx(signal, abs=0.1)
        assert std == pytest.approx(sigma, rel=0.01)
        low, high = (line.value() for line in view.density.sigma_lines)
        assert (low, high) == pytest.approx((signal - sigma, signal + sigma), rel=1e-4)
        assert f"signal {signal:.1f} counts" in view.density.hint.text()
        assert f"sigma {sigma:.1f}" in view.density.hint.text()
        assert view.variance.twin.value() == signal
    view.curve.setMaximum(1)
    view.variance.line.setValue(1e9)  # it stays within the plot
    assert view.variance.signal < 510


def test_the_line_is_dragged_with_the_mouse(view, show, qtbot):
    show()
    plot = view.variance.top
    viewport = plot.viewport()

    def at(signal):
        return plot.mapFromScene(plot.getViewBox().mapViewToScene(QPointF(signal, 300)))

    qtbot.wait(50)
    before = view.variance.signal
    start, end = at(before), at(300.0)
    qtbot.mouseMove(viewport, start)
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for part in (0.3, 0.6, 1.0):
        _drag(plot, start + (end - start) * part)
        qtbot.wait(30)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=end)
    assert view.variance.signal == pytest.approx(300, abs=3)
    assert density_at_line(view)[1] == pytest.approx(view.variance.signal, abs=0.1)


def _drag(plot, position):
    """A mouse move with the button held, which QTest cannot make."""
    where = QPointF(position)
    everywhere = QPointF(plot.viewport().mapToGlobal(position))
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(QEvent.Type.MouseMove, where, everywhere, left, left, none)
    QApplication.sendEvent(plot.viewport(), event)


def test_checks_have_a_sign_words_and_advice_the_worst_first(view, show):
    show(DOUBTFUL, BAD)
    (badge, text), (second, doubt), *rest = view.checks.rows
    assert (badge.text(), second.text()) == ("✗", "!")
    assert [b.text() for b, _ in rest] == ["✓"] * 5
    assert "<b>Processing:</b> Neighbouring pixels agree by 0.31" in text.text()
    assert "Take the raw images" in text.text()
    assert "Register the frames." in doubt.text()
    assert len({b.styleSheet() for b, _ in view.checks.rows}) == 3
    assert view.badge.text() == "✗"
    assert "1 check failed (processing)" in view.verdict.text()
    show(DOUBTFUL)
    assert view.badge.text() == "!"
    assert "with a look at: drift" in view.verdict.text()
    assert len(view.checks.rows) == 6


def test_structure_as_map_profiles_and_words(view, show):
    structure = striped_structure()
    show(structure=structure)
    assert view.sections["structure"].isExpanded()  # it matters
    shown = view.structure
    assert shown.words.text() == structure.in_words()
    image = shown.image.image
    assert image.shape == (49, 49)
    assert np.isnan(image[24, 24])  # 1 by definition
    assert image[24, 25] == pytest.approx(1) and abs(image[40, 40]) < 0.2  # red, pale
    assert shown.limit == pytest.approx(structure.autocorrelation[24, 25], rel=1e-5)
    for name, profile in (("x", structure.profile_x), ("y", structure.profile_y)):
        lags, values = shown.along[name].getData()
        assert list(lags) == list(range(1, 25))
        np.testing.assert_array_equal(values, profile[1:])
    assert [line.value() for line in shown.bounds] == [-structure.bound, structure.bound]


def test_white_noise_stays_folded_and_pale(view, show):
    show()
    assert not view.sections["structure"].isExpanded()
    assert not view.structure.isVisible()
    image = view.structure.image.image
    assert np.nanmax(np.abs(image)) < 0.5
    view.sections["structure"].toggleButton().click()
    assert view.structure.isVisible()
    low, high = view.structure.profiles.viewRange()[1]
    assert low < -0.015 and high > 0.015  # the bounds are seen


def test_no_structure_to_judge_by(view, session):
    session.set_calibration(make_calibration(structure=None), None)
    session.set_calibration(replace(session.calibration, structure=None), None)
    assert "Nothing to judge by" in view.structure.words.text()
    assert view.structure.plots.isHidden()


def test_sections_open_and_close_for_good(view, show, qtbot):
    show()
    section = view.sections["checks"]
    assert view.checks.isVisible()
    section.toggleButton().click()
    assert not view.checks.isVisible()
    show(DOUBTFUL, BAD)  # what was closed stays closed
    assert not view.checks.isVisible()
    section.toggleButton().click()
    assert view.checks.isVisible()
    needed = view.checks.heightForWidth(view.checks.width())
    qtbot.waitUntil(lambda: section.content().height() >= needed)


def test_plots_follow_the_theme(view, show):
    show()
    appearance = get_settings().appearance
    grounds = []
    for theme in ("light", "dark"):
        appearance.theme = theme
        grounds.append(view.variance.top.backgroundBrush().color().lightness())
        quiet = view.facts.styleSheet()
        grounds.append(quiet)
    assert grounds[0] > 200 > 60 > grounds[2]
    assert grounds[1] != grounds[3]


@pytest.mark.parametrize(
    ("value", "span", "text"),
    [(1234.5678, 2000, "1235"), (123.456, 90, "123.5"), (0.1234567, 0.01, "0.1235")],
)
def test_counts_are_said_with_the_digits_that_matter(value, span, text):
    assert spoken_counts(value, span) == text
