"""`python -m adventureworks.cli`, for where the command is not on the path."""

from adventureworks.cli import main

main()
