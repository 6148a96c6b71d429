"""What people receive of a month: a workbook and a PDF, and the mails that say what is new.

`month` holds the figures, `workbook` and `document` put them on paper, `delivery` files them and knows what was filed
before, `due` says which months have something new.
"""
