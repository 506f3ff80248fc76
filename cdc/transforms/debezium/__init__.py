"""Debezium's transforms, one file each, with its class names, options and errors. What they share is in `envelope.py`.
Expected results come from records of Debezium 3.6.3 (tests/golden/transforms).
"""
