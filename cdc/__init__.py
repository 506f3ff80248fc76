"""cdc: change data capture for relational databases. README has the map of the rooms.

`CDC_PURE=1` in the environment makes every module run from its Python source even where a compiled one is there.
"""

from __future__ import annotations

import os
import sys

__version__ = "0.1.0"

if "cython" not in sys.modules:
    from cdc._pure import stand_in_for_cython

    stand_in_for_cython()

if os.environ.get("CDC_PURE") == "1":
    from cdc._pure import prefer_sources

    prefer_sources()
