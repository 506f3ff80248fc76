"""Sinks deliver outgoings to Kafka, to standard output, or to files.

A sink takes bytes, and answers for each outgoing whether it was delivered. It knows neither rows nor databases.
"""
