# `python -m edgecl.cli`, for where the console script is not on the path.
# Never here: anything else.
"""Starts the command line."""

from edgecl.cli.start import main

main()
