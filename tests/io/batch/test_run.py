"""The batch itself, with a restoration that adds 1."""

import errno
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from commands import images_in
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import (
    ConfigurationError,
    DamagedPlaneError,
    ImageFileError,
    ImageLostError,
    MemoryShortError,
    OutputError,
)
from napari_hdn.core.events import (
    Notice,
    PlaneFailed,
    PlaneRestored,
    RestorationFinished,
    RestorationProgress,
    Stop,
)
from napari_hdn.core.recipes.making import RestorationRecipes
from napari_hdn.io.batch.events import (
    BatchFinished,
    BatchProgress,
    BatchStarted,
    ImageBegun,
    ImageOver,
)
from napari_hdn.io.batch.image import Work
from napari_hdn.io.batch.images import find_images
from napari_hdn.io.batch.run import run, run_alone
from napari_hdn.io.batch.table import read_rows
from napari_hdn.io.restorations import RestorationFiles
from ngff import write_image
from sharing import tiny_model

CONFIG = RestorationConfig(device="cpu")
RECIPES = RestorationRecipes(tiny_model(), CONFIG)


@pytest.fixture
def raw(tmp_path):
    """Three stacks of two planes, the second in a subfolder."""
    for name, value in (("a", 10), ("deep/b", 20), ("c", 30)):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        image = np.full((2, 8, 10), value, np.uint8)
        tifffile.imwrite(tmp_path / "raw" / f"{name}.tif", image, photometric="minisblack")
    return tmp_path / "raw"


class Restoring:
    """Adds 1; fails or stops where it is told to, by the name of the image."""

    def __init__(self, out, asked="r1", integers=False, **mishaps):
        self.mishaps = mishaps
        self.restored = []
        self.stop = Stop()
        self.work = Work(self._restore, self._files, RECIPES.of, out, asked, "m", "1", 2)
        self.integers = integers

    def _files(self, stack, folder):
        return RestorationFiles(folder, stack, CONFIG, integers=self.integers)

    def _restore(self, stack, done):
        self.restored.append(stack.name)
        mishap = self.mishaps.get(stack.stem)
        failed = 0
        for number, index in enumerate(stack.indices()):
            if isinstance(mishap, Exception):
                raise mishap
            if mishap == "lost" and number == 1:
                raise ImageLostError(f"{stack.name} cannot be read any more.")
            if mishap == "stop" and number == 1:
                self.stop.request()
                yield RestorationFinished(1, 2, True)
                return
            if mishap == "plane" and number == 1:
                failed += 1
                yield PlaneFailed(index, f"{stack.name}, plane 1 is torn.")
                continue
            value = 300 if mishap == "bright" else stack.plane(index) + 1
            if mishap == "change" and number == 1:
                os.utime(stack.path, ns=(0, 0))
            plane = np.broadcast_to(np.float32(value), stack.plane_shape)
            yield RestorationProgress((number + 1) / 2, 1, 1)
            yield PlaneRestored(index, {"mean": plane}, slice(0, 8))
        yield RestorationFinished(2 - failed, 2, False, failed=failed)

    def run(self, raw, **options):
        pattern = str(raw / "**" / "*.tif")
        folder, looking = find_images([pattern], out=self.work.out)
        *_, images = looking
        return list(run(images, folder, self.work, stop=self.stop, **options))


def rows(out):
    return {r.image: r for r in read_rows(out / "hdn-batch.csv")}


def statuses(out):
    return {name: row.status for name, row in rows(out).items()}


def test_images_go_to_folders_of_the_same_names(raw, tmp_path):
    out = tmp_path / "out"
    events = Restoring(out).run(raw)
    assert isinstance(events[0], BatchStarted) and events[0].before == 0
    assert [e.name for e in events if isinstance(e, ImageBegun)] == ["a.tif", "c.tif", "deep/b.tif"]
    assert (tifffile.imread(out / "deep" / "b_hdn-mean.ome.tif") == 21).all()
    row = rows(out)["deep/b.tif"]
    assert row.files == ("deep/b_hdn-mean.ome.tif",) and row.source == "../raw"
    assert (row.status, row.done, row.failed, row.planes) == ("done", 2, 0, 2)
    assert row.size == (raw / "deep" / "b.tif").stat().st_size and row.model == "m"
    fractions = [e.fraction for e in events if isinstance(e, BatchProgress)]
    assert fractions[0] == pytest.approx(1 / 6)
    finished = events[-1]
    assert finished.complete and finished.in_words() == "3 of 3 images restored"
    assert [r.image for r in finished.rows] == ["a.tif", "c.tif", "deep/b.tif"]


def test_going_on_does_only_what_is_missing(raw, tmp_path):
    out = tmp_path / "out"
    first = Restoring(out, c="stop")
    stopped = first.run(raw)[-1]
    assert stopped.stopped and stopped.in_words() == (
        "1 of 3 images restored, 1 done in part, 1 not yet"
    )
    assert statuses(out) == {"a.tif": "done", "c.tif": "done in part", "deep/b.tif": "not yet"}
    assert rows(out)["c.tif"].files == ("c_hdn-mean-partial.ome.tif",)
    then = Restoring(out)
    events = then.run(raw)
    assert then.restored == ["c.tif", "b.tif"]
    assert events[0].before == 1 and events[0].in_words() == (
        "1 of 3 images was restored before with the same settings and is not done again"
    )
    kept = "Kept what there was of c.tif before: c_hdn-mean-partial.ome.tif"
    assert kept in [e.text for e in events if isinstance(e, Notice)]
    assert statuses(out) == {"a.tif": "done", "c.tif": "done", "deep/b.tif": "done"}
    assert (out / "c_hdn-mean-partial.ome.tif").exists()
    assert events[-1].in_words() == "3 of 3 images restored (1 of them before)"
    none = Restoring(out)
    assert none.run(raw)[0].before == 3 and none.restored == []


def test_everything_again(raw, tmp_path):
    out = tmp_path / "out"
    Restoring(out).run(raw)
    again = Restoring(out)
    again.run(raw, again=True)
    assert len(again.restored) == 3
    assert rows(out)["a.tif"].files == ("a_hdn-mean-2.ome.tif",)
    assert (out / "a_hdn-mean.ome.tif").exists()


def test_other_settings_are_another_job(raw, tmp_path):
    out = tmp_path / "out"
    Restoring(out).run(raw)
    other = Restoring(out, asked="r2")
    other.run(raw)
    assert len(other.restored) == 3
    kept = read_rows(out / "hdn-batch.csv")
    assert [r.asked for r in kept] == 3 * ["r1"] + 3 * ["r2"]
    assert {r.status for r in kept} == {"done"}


def test_changed_images_and_lost_results_are_done_again(raw, tmp_path):
    out = tmp_path / "out"
    Restoring(out).run(raw)
    tifffile.imwrite(raw / "a.tif", np.full((2, 8, 10), 50, np.uint8), photometric="minisblack")
    (out / "c_hdn-mean.ome.tif").unlink()
    then = Restoring(out)
    told = [e.text for e in then.run(raw) if isinstance(e, Notice)]
    assert then.restored == ["a.tif", "c.tif"]
    assert told == [
        "Restored again, as the image was changed since it was restored: a.tif",
        "Restored again, as results of it are gone: c.tif",
    ]
    assert rows(out)["a.tif"].files == ("a_hdn-mean-2.ome.tif",)
    assert (tifffile.imread(out / "a_hdn-mean-2.ome.tif") == 51).all()


def test_what_a_power_cut_emptied_is_done_again(raw, tmp_path):
    out = tmp_path / "out"
    Restoring(out).run(raw)
    (out / "a_hdn-mean.ome.tif").write_bytes(b"")
    then = Restoring(out)
    then.run(raw)
    assert then.restored == ["a.tif"]


def test_both_folders_may_be_moved_together(raw, tmp_path):
    Restoring(tmp_path / "out").run(raw)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(raw, moved / "raw")
    shutil.move(tmp_path / "out", moved / "out")
    then = Restoring(moved / "out")
    then.run(moved / "raw")
    assert then.restored == []


def test_a_damaged_image_ends_only_itself(raw, tmp_path):
    out = tmp_path / "out"
    (raw / "b.tif").write_bytes(b"")
    tifffile.imwrite(raw / "d.tif", np.zeros((8, 10, 3), np.uint8), photometric="rgb")
    error = MemoryShortError("too large")
    events = Restoring(out, a=DamagedPlaneError("a.tif is torn."), c=error).run(raw)
    assert statuses(out) == {
        "a.tif": "failed",
        "b.tif": "failed",
        "c.tif": "failed",
        "d.tif": "left out",
        "deep/b.tif": "done",
    }
    reasons = [r.reason for r in rows(out).values()]
    assert reasons[0] == "a.tif is torn." and "it is empty" in reasons[1]
    assert reasons[2] == "too large" and "RGB" in reasons[3] and reasons[4] == ""
    warnings = [e.text for e in events if isinstance(e, Notice) and e.severity == "warning"]
    assert "a.tif is torn. This image was left out." in warnings and len(warnings) == 4
    assert not events[-1].complete
    assert events[-1].in_words() == "1 of 5 images restored, 3 failed, 1 left out"
    then = Restoring(out)
    then.run(raw)
    assert then.restored == ["a.tif", "c.tif"]


def test_damaged_planes_are_as_done_as_can_be(raw, tmp_path):
    out = tmp_path / "out"
    assert not Restoring(out, c="plane").run(raw)[-1].complete
    row = rows(out)["c.tif"]
    assert (row.status, row.done, row.failed) == ("done in part", 1, 1)
    assert "plane 1 is torn" in row.reason and "1 of 2 planes are damaged" in row.reason
    then = Restoring(out)
    finished = then.run(raw)[-1]
    assert then.restored == [] and not finished.complete


def test_clipped_pixels_are_counted(raw, tmp_path):
    out = tmp_path / "out"
    Restoring(out, integers=True, c="bright").run(raw)
    assert {name: row.clipped for name, row in rows(out).items()} == {
        "a.tif": 0,
        "c.tif": 160,
        "deep/b.tif": 0,
    }
    assert "160 of 160 restored pixels (mean) lay outside 0..255" in rows(out)["c.tif"].reason


@pytest.mark.parametrize(
    "error", [ConfigurationError("no such level"), OutputError("full"), RuntimeError("a mistake")]
)
def test_what_all_images_would_meet_ends_the_batch(raw, tmp_path, error):
    out = tmp_path / "out"
    with pytest.raises(type(error), match=str(error)):
        Restoring(out, c=error).run(raw)
    assert statuses(out) == {"a.tif": "done", "c.tif": "failed", "deep/b.tif": "not yet"}
    assert str(error) in rows(out)["c.tif"].reason


def test_a_name_that_the_disk_does_not_take_ends_only_its_image(raw, tmp_path):
    error = OutputError("could not be written: File name too long.")
    error.__cause__ = OSError(errno.ENAMETOOLONG, "File name too long")
    Restoring(tmp_path / "out", c=error).run(raw)
    assert list(statuses(tmp_path / "out").values()) == ["done", "failed", "done"]


def test_an_error_behind_the_last_plane_is_no_success(raw, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_hdn.io.ome_tiff.publish", full)
    with pytest.raises(OutputError, match="the disk is full"):
        Restoring(out).run(raw)
    monkeypatch.undo()
    then = Restoring(out)
    then.run(raw)
    assert then.restored == ["a.tif", "c.tif", "b.tif"]


def test_a_file_that_changes_is_told_and_done_again(raw, tmp_path):
    out = tmp_path / "out"
    assert not Restoring(out, c="change").run(raw)[-1].complete
    assert rows(out)["c.tif"].status == "done in part"
    assert "changed while it was restored" in rows(out)["c.tif"].reason
    then = Restoring(out)
    then.run(raw)
    assert then.restored == ["c.tif"]


def test_a_file_that_was_changed_before_its_turn_is_not_read(raw, tmp_path):
    out = tmp_path / "out"
    restoring = Restoring(out)
    folder, looking = find_images([str(raw / "**" / "*.tif")])
    *_, images = looking
    os.utime(raw / "c.tif", ns=(0, 0))
    list(run(images, folder, restoring.work))
    assert restoring.restored == ["a.tif", "b.tif"]
    assert rows(out)["c.tif"].status == "failed"


def test_an_image_that_is_lost_in_the_middle_is_done_another_time(raw, tmp_path):
    out = tmp_path / "out"
    Restoring(out, a="lost").run(raw)
    row = rows(out)["a.tif"]
    assert (row.status, row.done, row.failed) == ("done in part", 1, None)
    assert row.reason == "a.tif cannot be read any more."
    assert row.files == ("a_hdn-mean-partial.ome.tif",)
    then = Restoring(out)
    then.run(raw)
    assert then.restored == ["a.tif"] and set(statuses(out).values()) == {"done"}


def test_a_folder_that_is_gone_ends_the_batch(raw, tmp_path):
    out = tmp_path / "out"
    restoring = Restoring(out)
    folder, looking = find_images([str(raw / "**" / "*.tif")])
    *_, images = looking
    shutil.rmtree(raw)
    with pytest.raises(ImageFileError, match="is gone"):
        list(run(images, folder, restoring.work))
    assert list(statuses(out).values()) == ["failed", "not yet", "not yet"]


def test_the_empty_place_where_a_drive_was_ends_the_batch(raw, tmp_path):
    out = tmp_path / "out"
    restoring = Restoring(out)
    folder, looking = find_images([str(raw / "**" / "*.tif")])
    *_, images = looking
    events = run(images, folder, restoring.work)
    next(events)
    raw.rename(tmp_path / "away")
    raw.mkdir()
    with pytest.raises(ImageFileError, match="is gone"):
        list(events)
    assert list(statuses(out).values()) == ["failed", "not yet", "not yet"]


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_damaged_chunk_that_was_copied_again_is_noticed(tmp_path, keeps_time):
    """What tells of the damage says to copy the chunk again: the metadata stay as they are."""
    store = write_image(tmp_path / "raw" / "b.ome.zarr", np.full((2, 8, 10), 7, np.uint8), "tyx")
    chunk = next(p for p in (store / "0" / "c" / "1").rglob("*") if p.is_file())
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:5])
    out = tmp_path / "out"

    def restored(**mishaps):
        restoring = Restoring(out, **mishaps)
        folder, looking = find_images([tmp_path / "raw"])
        *_, images = looking
        *events, over = run(images, folder, restoring.work)
        return restoring.restored, events, over

    assert restored(b="plane")[0] == ["b.ome.zarr"]
    assert rows(out)["b.ome.zarr"].failed == 1
    assert restored()[0] == []  # nobody mended it
    time.sleep(0.02)  # clocks of disks are coarse
    chunk.write_bytes(whole)
    if keeps_time:
        os.utime(chunk, ns=(0, 0))
    again, events, over = restored()
    assert again == ["b.ome.zarr"] and over.complete
    assert any("damaged, and its files were written to" in e.text for e in told(events))


def told(events):
    return [e for e in events if isinstance(e, Notice)]


def test_an_image_alone_has_no_table_and_raises(raw, tmp_path):
    _, looking = find_images([raw / "a.tif"])
    *_, (image,) = looking
    out = tmp_path / "out"
    for _ in range(2):
        *_, over, finished = run_alone(image, Restoring(out).work)
        assert isinstance(over, ImageOver) and over.row.status == "done"
        assert isinstance(finished, BatchFinished) and finished.table is None and finished.complete
    assert images_in(out) == ["a_hdn-mean-2.ome.tif", "a_hdn-mean.ome.tif"]
    assert (out / "a_hdn-recipe-2.json").is_file()
    with pytest.raises(DamagedPlaneError):
        list(run_alone(image, Restoring(out, a=DamagedPlaneError("torn")).work))
    with pytest.raises(ImageFileError, match="unreadable"):
        bad = replace(image, stack=None, error=ImageFileError("unreadable"))
        list(run_alone(bad, Restoring(out).work))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="counts open files as Linux and macOS do")
def test_ten_thousand_files_hold_none_open(tmp_path):
    import resource

    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    tifffile.imwrite(raw / "0.tif", np.ones((2, 8, 10), np.uint8), photometric="minisblack")
    for number in range(1, 10_000):
        os.link(raw / "0.tif", raw / f"{number}.tif")
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    now = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, now + 100), most))
    try:
        begun, *_, stopped = Restoring(out, **{"20": "stop"}).run(raw)
        assert isinstance(begun, BatchStarted) and len(begun.rows) == 10_000
        assert stopped.in_words() == "20 of 10000 images restored, 1 done in part, 9979 not yet"
        then = Restoring(out, **{"30": "stop"})
        assert then.run(raw)[0].before == 20 and len(then.restored) == 11
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    found = rows(out)
    assert list(found)[:3] == ["0.tif", "1.tif", "2.tif"] and len(found) == 10_000
    assert sum(row.status == "done" for row in found.values()) == 30
