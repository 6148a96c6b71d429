"""Business goes on: a day in the source database is one transaction that buys, makes, sells, corrects and cleans up."""
