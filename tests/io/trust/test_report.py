"""The report needs nothing from elsewhere, says what was found, and harms no file and no reader."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from judged import SPREAD, make_judgement
from napari_hdn.io.trust.report import trust_page

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


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"flaws": ("the frames differ by 0.59 times",)}, "the frames differ by 0.59 times."),
        ({"factor": 0.0, "factor_error": 0.25}, "told from 0."),
    ],
)
def test_a_factor_that_could_not_be_measured_corrects_nothing(changes, why):
    found = make_judgement(spread=replace(SPREAD, **changes))
    words = Page(trust_page(found)).words
    assert "could not be measured: " in words and why in words
    assert "network's own opinion" in words and "may be used as error bars" not in words
    assert "Multiply standard deviations" not in words and "times the measured" not in words
