"""What a methods section refers to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One entry of a list of references.

    Attributes
    ----------
    cited : str
        In the text, without brackets.
    text : str
        In the list.
    bibtex : str
    """

    cited: str
    text: str
    bibtex: str


HDN = Reference(
    "Prakash et al., 2022",
    "Prakash, M., Delbracio, M., Milanfar, P., & Jug, F. (2022). Interpretable unsupervised diversity "
    "denoising and artefact removal. International Conference on Learning Representations (ICLR). "
    "https://arxiv.org/abs/2104.01374",
    """@inproceedings{prakash2022hdn,
  title     = {Interpretable Unsupervised Diversity Denoising and Artefact Removal},
  author    = {Prakash, Mangal and Delbracio, Mauricio and Milanfar, Peyman and Jug, Florian},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2022},
  eprint    = {2104.01374},
  archiveprefix = {arXiv}
}""",
)

PN2V = Reference(
    "Krull et al., 2020",
    "Krull, A., Vičar, T., Prakash, M., Lalit, M., & Jug, F. (2020). Probabilistic Noise2Void: "
    "unsupervised content-aware denoising. Frontiers in Computer Science, 2, 5. "
    "https://doi.org/10.3389/fcomp.2020.00005",
    """@article{krull2020pn2v,
  title   = {Probabilistic {Noise2Void}: Unsupervised Content-Aware Denoising},
  author  = {Krull, Alexander and Vi{\\v{c}}ar, Tom{\\'a}{\\v{s}} and
             Prakash, Mangal and Lalit, Manan and Jug, Florian},
  journal = {Frontiers in Computer Science},
  volume  = {2},
  pages   = {5},
  year    = {2020},
  doi     = {10.3389/fcomp.2020.00005}
}""",
)

PPN2V = Reference(
    "Prakash et al., 2020",
    "Prakash, M., Lalit, M., Tomancak, P., Krull, A., & Jug, F. (2020). Fully unsupervised "
    "probabilistic Noise2Void. IEEE International Symposium on Biomedical Imaging (ISBI). "
    "https://arxiv.org/abs/1911.12291",
    """@inproceedings{prakash2020ppn2v,
  title     = {Fully Unsupervised Probabilistic {Noise2Void}},
  author    = {Prakash, Mangal and Lalit, Manan and Tomancak, Pavel and
               Krull, Alexander and Jug, Florian},
  booktitle = {IEEE International Symposium on Biomedical Imaging (ISBI)},
  year      = {2020},
  eprint    = {1911.12291},
  archiveprefix = {arXiv}
}""",
)

LADDER = Reference(
    "Sønderby et al., 2016",
    "Sønderby, C. K., Raiko, T., Maaløe, L., Sønderby, S. K., & Winther, O. (2016). Ladder variational "
    "autoencoders. Advances in Neural Information Processing Systems, 29. "
    "https://arxiv.org/abs/1602.02282",
    """@inproceedings{sonderby2016ladder,
  title     = {Ladder Variational Autoencoders},
  author    = {S{\\o}nderby, Casper Kaae and Raiko, Tapani and Maal{\\o}e, Lars and
               S{\\o}nderby, S{\\o}ren Kaae and Winther, Ole},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {29},
  year      = {2016},
  eprint    = {1602.02282},
  archiveprefix = {arXiv}
}""",
)

NAPARI = Reference(
    "Sofroniew et al., 2019",
    "Sofroniew, N., Lambert, T., Evans, K., Nunez-Iglesias, J., et al. (napari contributors; 2019). "
    "napari: a multi-dimensional image viewer for Python. Zenodo. "
    "https://doi.org/10.5281/zenodo.3555620",
    """@software{napari,
  title     = {napari: a multi-dimensional image viewer for {Python}},
  author    = {Sofroniew, Nicholas and Lambert, Talley and Evans, Kira and
               Nunez-Iglesias, Juan and others},
  publisher = {Zenodo},
  year      = {2019},
  doi       = {10.5281/zenodo.3555620}
}""",
)
