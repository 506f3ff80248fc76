"""Snapshots of tables of any database: the loop that reads them (`initial.py`) and markers. It never sees SQL."""
