"""How Sphinx builds the site: ``sphinx-build -W --keep-going -n docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

import keras_models  # noqa: F401  (loads TensorFlow without its chatter)

sys.path.insert(0, str(Path(__file__).parent))  # `entries` and `reports`, beside this file

project = "Keras Lockstep"
html_title = project
extensions = [
    "myst_nb",  # pages in Markdown, and the notebook
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "entries",
    "reports",
]
exclude_patterns = ["_build", "jupyter_execute"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # its outputs are kept with it, and tests/docs/test_tutorial.py runs it
highlight_language = "text"  # a block without a language is output
pygments_dark_style = "github-dark"
smartquotes = False  # it makes a dash of the two hyphens of an option

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

default_role = "py:obj"
add_module_names = False
autodoc_typehints = "none"  # the docstrings say what an argument is, with its shape
autodoc_inherit_docstrings = False  # what a subclass doesn't say again stands with its base
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_param = False
napoleon_use_rtype = False
