# The command line of edgecl, installed as edgecl.cli.
# Never here: code.
"""The `edgecl` command. `main.py` is the parser, one file each command."""
