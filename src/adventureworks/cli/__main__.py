"""Entry point of `python -m adventureworks.cli`, for use where the command is not on the path."""

from adventureworks.cli import main

main()
