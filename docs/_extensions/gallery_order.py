"""Where each page of the gallery stands, read by sphinx-gallery by these functions' names."""

from pathlib import PurePath

ORDER = {
    "start": ["quickstart", "replacing_tfidf", "grid_search"],
    "inside": ["parts", "explanations", "validation", "networks"],
    "labels": ["few_labels", "multilabel", "imbalanced", "calibration"],
    "data": ["columns", "streaming"],
}
SECTIONS = list(ORDER)
PAGES = [page for pages in ORDER.values() for page in pages]


def section(folder):
    return SECTIONS.index(PurePath(folder).name)


def page(filename):
    return PAGES.index(PurePath(filename).stem)
