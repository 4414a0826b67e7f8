"""How Sphinx builds these pages: python -m sphinx -W --keep-going -b html docs docs/_build/html"""

import sys
from pathlib import Path

import sklearn_textcnn

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "sklearn_textcnn"
author = "sklearn_textcnn developers"
project_copyright = author
version = release = sklearn_textcnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "benchmark_results",
    "benchmark_summary",
    "readme_example",
]
exclude_patterns = ["_build"]
templates_path = []
autosummary_generate = False

# `Name` is a link where these pages document the name, and code elsewhere.
default_role = "py:obj"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"sklearn_textcnn {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
html_static_path = ["_static"]
html_css_files = ["pages.css", "gallery.css"]

# Every script of the gallery is run; an error in one ends the build.
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sklearn_textcnn",),
    "filename_pattern": r"\.py$",
    "subsection_order": "gallery_order.section",
    "within_subsection_order": "gallery_order.page",
    "minigallery_sort_order": "gallery_order.page",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
}
