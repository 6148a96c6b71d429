"""Charts as Vega-Lite specifications, shared by reports, mails and the dashboard.

`theme` defines their common appearance, `rendering` converts them to images without a browser.
"""
