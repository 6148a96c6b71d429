"""How Sphinx turns these pages into a site: `make docs`."""

project = "AdventureWorks DataOps"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = project
html_show_copyright = False
exclude_patterns = ["_site"]
myst_heading_anchors = 4
# The pages are also read on GitHub, where a level of headings may be skipped.
suppress_warnings = ["myst.header"]
