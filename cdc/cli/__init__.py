"""The command line: one file a command, and `main.py` that puts them together.

A command imports the rest of the package when it runs, not before, so that `cdc --help` and `cdc version` are quick.
"""
