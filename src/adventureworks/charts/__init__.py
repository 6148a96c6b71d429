"""Charts as Vega-Lite specifications: the same for reports, mails and the dashboard.

`theme` says how all of them look, `rendering` makes pictures of them without a browser.
"""
