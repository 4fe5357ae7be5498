"""The dock Judge a restoration, driven as a user drives it."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from inspecting import by_product
from judged import make_judgement
from napari_hdn import api
from napari_hdn.cli import main
from napari_hdn.ui.layers import METADATA_KEY, product_of, selectable


@pytest.fixture(autouse=True)
def _small_control(monkeypatch):
    monkeypatch.setattr("napari_hdn.core.trust.control.SIDE_PX", 64)


@pytest.fixture
def trust_dock(viewer, session, open_dock, model_folder, striped, qtbot):
    """The dock with a placed layer and a model."""
    viewer.add_image(
        striped,
        name="striped",
        scale=(1, 0.13, 0.13),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(50)
    dock = open_dock("Judge a restoration")
    dock.device.choose("cpu")
    dock.samples.setValue(4)
    dock.piece.part.choose("plane")
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("lines"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: session.model is not None)
    return dock


@pytest.fixture
def held(monkeypatch):
    """A judging that waits before each event until it is let go, or stopped."""
    go_on, judge = threading.Event(), api.judge_restoration

    def slowly(*args, **kwargs):
        for event in judge(*args, **kwargs):
            while not go_on.wait(0.02) and not kwargs["stop"].requested:
                pass
            yield event

    monkeypatch.setattr(api, "judge_restoration", slowly)
    yield go_on
    go_on.set()


def test_judging_shows_verdicts_and_adds_the_map(trust_dock, viewer, until_free, striped):
    dock = trust_dock
    assert dock.verdicts.isHidden()
    dock.judge.click()
    until_free()
    *_, finished = api.judge_restoration(
        dock._session.model, striped[1], samples=4, device="cpu", name="striped"
    )
    expected = finished.judgement
    assert not dock.verdicts.isHidden()
    assert len(dock.verdicts.checks.rows) == len(expected.checks)
    shown = " ".join(sentence.text() for _, sentence in dock.verdicts.checks.rows)
    for check in expected.checks:
        assert check.text.split(".")[0] in shown
    layer = by_product(viewer, "trust")
    np.testing.assert_array_equal(layer.data[0], expected.trust.trust)
    source = viewer.layers["striped"]
    world = source.data_to_world((1, 3, 4))
    np.testing.assert_allclose(layer.world_to_data(world), (0, 3, 4), atol=1e-9)
    assert layer.contrast_limits == [0, 1] and layer.opacity < 1
    assert layer.metadata[METADATA_KEY]["samples"] == 4 and not selectable(layer)
    np.testing.assert_array_equal(source.data, striped)
    assert dock.verdicts.calibration.isHidden()
    assert "Not measured" in dock.verdicts.calibration_words.text()
    assert dock.progress.line.text() == "Judged striped, T 1: 128 × 96 pixels."


def test_repeats_give_a_curve(trust_dock, viewer, session, until_free, qtbot):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:96, :128]
    field = 20 + 15 * np.sin(y / 13) * np.cos(x / 17)
    viewer.add_image(rng.poisson(field, (5, 96, 128)) * 2.0 + 100, name="repeats")
    trust_dock.repeats.choose(viewer.layers["repeats"])
    trust_dock.judge.click()
    until_free()
    spread = session.last["trust"].judged.judgement.spread
    assert spread.source == "repeats" and spread.frames == 5
    verdicts = trust_dock.verdicts
    assert not verdicts.calibration.isHidden()
    assert verdicts.calibration_words.text() == spread.in_words()
    at, _ = verdicts.calibration.points.getData()
    np.testing.assert_allclose(at, np.log10(spread.predicted), atol=1e-6)


def test_bars_show_what_each_level_decides(trust_dock, session, until_free):
    trust_dock.judge.click()
    until_free()
    prior = session.last["trust"].judged.judgement.prior
    bars = trust_dock.verdicts.bars
    rms = np.sqrt((prior.decided.astype(float) ** 2).mean(axis=(1, 2)))
    np.testing.assert_allclose(bars.decided.opts["width"], rms, rtol=1e-5)
    assert [n.toPlainText() for n in bars._numbers] == [f"{s:.2f}" for s in prior.of_levels]
    legend = bars.legend.mapRectToScene(bars.legend.boundingRect())
    lowest = bars.getViewBox().mapSceneToView(legend.bottomLeft()).y()
    assert lowest > prior.levels + 0.36  # above all bars and numbers


def test_all_maps_as_layers(trust_dock, viewer, session, until_free):
    trust_dock.judge.click()
    until_free()
    trust_dock.verdicts.layers.click()
    maps = api.trust_maps(session.last["trust"].judged.judgement)
    layers = [x for x in viewer.layers if product_of(x) == "trust-map"]
    assert [x.metadata[METADATA_KEY]["part"] for x in layers] == list(maps)
    assert not any(x.visible for x in layers)
    for layer, image in zip(layers, maps.values(), strict=True):
        np.testing.assert_array_equal(layer.data[0], image)


def test_the_report_is_saved_and_nothing_overwritten(
    trust_dock, viewer, session, until_free, tmp_path, monkeypatch, striped, capsys
):
    monkeypatch.setattr(
        "napari_hdn.ui.trust.QFileDialog.getExistingDirectory", lambda *a, **k: str(tmp_path)
    )
    trust_dock.judge.click()
    until_free()
    for _ in range(2):
        trust_dock.verdicts.report.click()
        until_free()
    reports = sorted(p.name for p in tmp_path.glob("*.html"))
    assert reports == ["striped_hdn-trust-report-2.html", "striped_hdn-trust-report.html"]
    (trust,) = api.open_images([tmp_path / "striped_hdn-trust-map.ome.tif"])
    np.testing.assert_array_equal(trust.array, session.last["trust"].judged.judgement.trust.trust)
    # done again in the terminal, from a file with the same pixels
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "a.tif", striped, photometric="minisblack")
    recipe = str(tmp_path / "striped_hdn-trust-recipe-2.json")
    command = ["run", recipe, "--data", str(tmp_path / "raw")]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert "The map is identical to the recorded one" in capsys.readouterr().out
    layer = by_product(viewer, "trust")
    assert layer.metadata[METADATA_KEY]["recipe"] == json.loads(
        json.dumps(session.last["trust"].judged.recipe.model_dump(mode="json"))
    )
    assert trust.pixel_size_um == pytest.approx({"Y": 0.13, "X": 0.13})
    assert "Saved striped_hdn-trust-report-2.html" in trust_dock.progress.line.text()
    assert not trust_dock.verdicts.isHidden()


def test_levels_off_are_those_of_restoring(trust_dock, session, until_free):
    session.switch_levels_off([1])
    assert "level 1" in trust_dock.off.text().lower()
    trust_dock.judge.click()
    until_free()
    assert session.last["trust"].judged.judgement.settings.off == (1,)


def test_stop_keeps_what_is_done(trust_dock, session, viewer, until_free, qtbot, monkeypatch):
    judge = api.judge_restoration

    def stopping(*args, **kwargs):
        for event in judge(*args, **kwargs):
            if isinstance(event, api.TrustProgress) and "pure noise" in event.doing:
                kwargs["stop"].request()
            yield event

    monkeypatch.setattr(api, "judge_restoration", stopping)
    trust_dock.judge.click()
    until_free()
    assert trust_dock.verdicts.missed.text() == "Stopped before: pure noise."
    assert by_product(viewer, "trust").data.shape == (1, 96, 128)
    assert "judged in part" in trust_dock.progress.line.text()


def test_stopped_at_once_there_is_nothing(trust_dock, session, viewer, until_free, held):
    trust_dock.judge.click()
    assert not trust_dock.judge.isEnabled()
    trust_dock.stop.click()
    assert not trust_dock.stop.isEnabled()
    until_free()
    assert "nothing to judge by" in trust_dock.progress.line.text()
    assert len(viewer.layers) == 1 and trust_dock.verdicts.isHidden()


def test_another_image_chosen_is_told(trust_dock, viewer, until_free, striped):
    trust_dock.judge.click()
    until_free()
    other = viewer.add_image(striped, name="other")
    trust_dock.piece.image.choose(other)
    assert "You chose other: press Judge" in trust_dock.verdicts.about.text()
    trust_dock.piece.image.choose(viewer.layers["striped"])
    assert "You chose" not in trust_dock.verdicts.about.text()


def test_a_second_dock_shows_the_same(trust_dock, viewer, until_free, qtbot):
    from napari_hdn.ui.trust import TrustDock

    trust_dock.judge.click()
    until_free()
    again = TrustDock(viewer.__wrapped__)
    qtbot.addWidget(again)
    assert again.verdicts.about.text() == trust_dock.verdicts.about.text()
    assert len(again.verdicts.checks.rows) == len(trust_dock.verdicts.checks.rows)


def test_of_a_large_plane_the_middle_is_judged(trust_dock, session, until_free, monkeypatch):
    monkeypatch.setattr("napari_hdn.ui.trust.MOST_PX", 64)
    trust_dock.piece.part.choose("view")
    trust_dock.piece.part.choose("plane")
    assert "the middle 64 × 64 pixels are judged" in trust_dock.large.text()
    trust_dock.judge.click()
    until_free()
    assert session.last["trust"].judged.judgement.mean.shape == (64, 64)


def refused(dock, errors):
    dock.judge.click()
    assert dock._session.job is None
    return errors[-1]


def test_a_second_frame_of_the_same_layer_is_the_next(trust_dock, viewer, session, until_free):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:96, :128]
    field = 20 + 15 * np.sin(y / 13) * np.cos(x / 17)
    twice = viewer.add_image(rng.poisson(field, (2, 96, 128)) * 2.0 + 100, name="twice")
    trust_dock.piece.image.choose(twice)
    trust_dock.second_frame.choose(twice)
    trust_dock.judge.click()
    job = session.last["trust"]
    assert job.second_frame.region.index == (0,) and job.piece.region.index == (1,)
    until_free()
    assert job.judged.judgement.spread.source == "second_frame"


def test_what_is_no_second_frame_is_refused(trust_dock, viewer, errors, striped):
    dock = trust_dock
    dock.second_frame.choose(viewer.add_image(striped[0, :50], name="small"))
    assert "small is 128 × 50 pixels, striped 128 × 96" in refused(dock, errors)
    dock.second_frame.choose(viewer.add_image(np.repeat(striped, 2, axis=0), name="four"))
    assert "four holds 4 planes" in refused(dock, errors)
    dock.repeats.choose(viewer.layers["striped"])
    dock.second_frame.choose(viewer.layers["striped"])
    assert "not both" in refused(dock, errors)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((96, 96), np.float32), "are 0 counts"),
        (np.eye(20, dtype=np.float32), "too few to judge"),
    ],
)
def test_what_cannot_be_judged_is_told(trust_dock, viewer, errors, until_free, image, words):
    trust_dock.piece.image.choose(viewer.add_image(image, name="bad"))
    trust_dock.judge.click()
    until_free()
    assert words in errors[-1] and trust_dock.verdicts.isHidden()


def test_one_frame_as_repeats_is_told(trust_dock, viewer, errors, until_free, striped):
    trust_dock.repeats.choose(viewer.add_image(striped[0], name="single"))
    trust_dock.judge.click()
    until_free()
    assert "1 frame" in errors[-1]


def test_a_judgement_made_by_hand_fits_the_view(qtbot):
    from napari_hdn.ui.parts.verdicts import Verdicts

    view = Verdicts()
    qtbot.addWidget(view)
    piece = SimpleNamespace(in_words=lambda: "cells")
    judged = SimpleNamespace(judgement=make_judgement(), piece=piece)
    view.show_judged(judged, chosen_now="")
    texts = [n.toPlainText() for n in view.bars._numbers]
    assert texts[0] == "off" and len(texts) == 3
    _, high = view.calibration.getViewBox().viewRange()[1]
    assert high >= np.log10(4.2)
    ticks = view.calibration.getAxis("bottom")._tickLevels[0]
    assert all(float(text) == pytest.approx(10**at) for at, text in ticks)


def test_what_was_judged_stays_while_another_is_stopped(
    trust_dock, session, until_free, monkeypatch
):
    trust_dock.judge.click()
    until_free()
    before = trust_dock.judged
    assert before is not None
    judge = api.judge_restoration

    def stopped(*args, **kwargs):
        kwargs["stop"].request()
        yield from judge(*args, **kwargs)

    monkeypatch.setattr(api, "judge_restoration", stopped)
    trust_dock.judge.click()
    until_free()
    assert "nothing to judge by" in trust_dock.progress.line.text()
    assert trust_dock.judged is before and not trust_dock.verdicts.isHidden()
    assert trust_dock.verdicts.report.isEnabled()


def test_other_levels_chosen_are_told(trust_dock, session, until_free):
    trust_dock.judge.click()
    until_free()
    session.switch_levels_off((1,))
    assert "You chose level 1 off: press Judge" in trust_dock.verdicts.about.text()
    session.switch_levels_off(())
    assert "You chose" not in trust_dock.verdicts.about.text()
