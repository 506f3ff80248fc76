"""One suite for each interface of core/interfaces.py and core/stores.py, run over every implementation."""
