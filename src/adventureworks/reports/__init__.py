"""Monthly reports (a workbook and a PDF), the mails that announce them, and digests.

`month` reads the figures, `workbook` and `document` render them, `delivery` files the reports and determines which are
stale, `mailing` adds announcements and digests to the outbox.
"""
