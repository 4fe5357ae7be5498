"""The report needs nothing from elsewhere, says what was found, and harms no file and no reader."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from PIL import Image

from judged import SPREAD, make_judgement
from napari_hdn.core.errors import OutputError
from napari_hdn.io.images import open_images
from napari_hdn.io.trust_report import trust_maps, trust_page, trust_paths, write_trust

NASTY = "cells <script>alert('&\"')</script>"


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains where tags do not close."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    @property
    def pictures(self):
        for tag, name, value in self.attributes:
            if (tag, name) == ("img", "src"):
                head, _, data = value.partition(",")
                assert head == "data:image/png;base64"
                yield np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_the_page_is_whole_in_itself():
    page = Page(trust_page(make_judgement(), "cells.tif, T 0", {"Y": 0.1, "X": 0.1}))
    assert not {"script", "link", "iframe", "svg"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?:", trust_page(make_judgement()))
    pictures = list(page.pictures)
    assert len(pictures) == 7  # images, residuals, levels, three plots, pure noise
    for picture in pictures:
        assert min(picture.shape[:2]) > 150 and picture.std() > 5


def test_names_are_text_and_nothing_else():
    page = Page(trust_page(make_judgement(NASTY), NASTY))
    assert "script" not in page.tags
    assert NASTY in page.words and "model <&>" in page.words and "one <b>" in page.words


def test_what_was_found_is_told():
    found = make_judgement()
    words = Page(trust_page(found, "cells.tif, T 0", {"Y": 0.1, "X": 0.1})).words
    for check in found.checks:
        assert check.text in words
    for told in (
        "seed 7", "levels off: 1", "16 independent posterior samples", "80 x 64 pixels", "0.1 µm",
        "400 training steps", "variance = 2 s", SPREAD.in_words(), "times 1.40", found.prior.in_words(),
        "may be invented", "correlated between pixels",
    ):  # fmt: skip
        assert told in words


def test_what_was_not_done_is_told():
    found = make_judgement(prior=None, control=None, spread=None, not_done=("prior", "control"))
    page = Page(trust_page(found))
    assert "Stopped: the comparison of prior and image was not done." in page.words
    assert "Stopped: the restoration of pure noise was not done." in page.words
    assert "Not measured: that takes repeats" in page.words
    assert len(list(page.pictures)) == 3


def test_all_is_written_and_numbered(tmp_path):
    found, folder = make_judgement(), tmp_path / "deep" / "out"
    size = {"Y": 0.1, "X": 0.2}
    paths = trust_paths(folder, "cells")
    assert paths["report"].name == "cells_hdn-trust-report.html"
    written = write_trust(
        found, paths, where="cells.tif", facts={"region": [0, 64, 0, 80]}, pixel_size_um=size
    )
    assert set(written) == set(paths.values()) and all(p.is_file() for p in written)
    numbers = json.loads(paths["numbers"].read_text(encoding="utf-8"))
    assert numbers["region"] == [0, 64, 0, 80] and numbers["seed"] == 7
    assert numbers["calibration"]["factor"] == 1.4
    assert numbers["prior"]["share_by_level"] == pytest.approx(found.prior.of_levels)
    trust, parts = open_images([paths["map"], paths["parts"]])
    np.testing.assert_array_equal(trust.array, found.trust.trust)
    assert trust.pixel_size_um == pytest.approx(size)
    maps = trust_maps(found)
    assert (parts.axes, parts.array.shape) == ("CYX", (len(maps), 64, 80))
    with tifffile.TiffFile(paths["parts"]) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    assert [c.attrib["Name"] for c in root.findall(".//{*}Channel")] == list(maps)
    for k, image in enumerate(maps.values()):
        np.testing.assert_array_equal(parts.array[k], image)
    again = trust_paths(folder, "cells")
    assert again["report"].name == "cells_hdn-trust-report-2.html"
    before = paths["report"].read_bytes()
    write_trust(found, again)
    assert paths["report"].read_bytes() == before


def test_the_maps_are_those_of_the_parts():
    found = make_judgement()
    maps = trust_maps(found)
    assert {"trust by residuals", "trust by spread", "share of the prior, level 2"} <= set(maps)
    assert "share of the prior, level 1" not in maps  # it is off
    least = np.minimum(maps["trust by residuals"], maps["trust by spread"])
    np.testing.assert_array_equal(least, found.trust.trust)
    assert (maps["lowest part"][:16, :16] == -1).all()


def test_numbers_that_are_none_are_null(tmp_path):
    from dataclasses import replace

    found = make_judgement(spread=replace(SPREAD, ranks=float("nan")))
    paths = trust_paths(tmp_path, "cells")
    write_trust(found, paths)
    assert json.loads(paths["numbers"].read_text())["calibration"]["rank_correlation"] is None


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match=r"could not be written|cannot be written"):
        write_trust(make_judgement(), trust_paths(tmp_path / "file" / "out", "cells"))
