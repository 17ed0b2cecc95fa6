"""Settings of the site: ``python -m sphinx -W -c docs . build/site``.

The source folder is the checkout, so that links between pages, notebooks and the
changelog are the same on the site and in the repository.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "extensions")]

from jaxopt_lab._version import __version__  # noqa: E402

project = "jaxopt_lab"
author = "the authors of jaxopt_lab"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "api_pages",
    "mathml",
]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/**/*.md",
    "notebooks/*.ipynb",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
html_extra_path = ["extra"]
html_static_path = ["static"]
html_css_files = ["site.css"]

# Notebooks show their executed copies.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}

highlight_language = "text"
html_theme = "sphinx_book_theme"
html_title = f"jaxopt_lab {__version__}"
html_theme_options = {
    "collapse_navigation": True,
    "navigation_depth": 2,
    "show_navbar_depth": 1,
    "use_download_button": False,
}
html_show_sourcelink = False
html_copy_source = False
