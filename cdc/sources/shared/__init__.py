"""What all databases with a log have in common. It knows no particular database.

`source.py` is the shell around snapshot and stream; `handoff.py`, `selection.py`, `columns.py`, `source_block.py` and
`monitor.py` are its parts. `options.py` and `parsing.py` read a connector's configuration.
"""
