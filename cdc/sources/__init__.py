"""Databases: their logs as records.

One package for each database; none knows another, and none knows a converter or a sink.
"""
