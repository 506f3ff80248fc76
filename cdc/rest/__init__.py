"""The HTTP side of a worker: paths, JSON shapes and errors, no logic. It answers from what the worker remembers.

It knows of a worker only what `api.py` says. Shapes are those of Kafka Connect's REST API (KIP-26; KIP-1017 for
`/health`, KIP-745 for restarts, KIP-875 for offsets, KIP-495 for loggers). Passwords are hidden in every answer, which
Kafka Connect does not do; references such as `${env:…}` are shown as submitted.
"""
