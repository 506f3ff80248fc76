"""One suite for each interface of core/interfaces.py, run over every implementation."""
