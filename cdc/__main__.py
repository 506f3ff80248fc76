"""`python -m cdc`."""

from __future__ import annotations

from cdc.cli.main import main

main()
