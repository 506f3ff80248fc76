"""The narrow waist: what sources, transforms, converters and sinks have in common.

Pure and standard library only: nothing here opens a socket or a file, reads a clock, or knows a database.
"""
