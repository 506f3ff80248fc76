"""Statements' texts and the table structures they make. No I/O, and no statement is ever fatal."""
