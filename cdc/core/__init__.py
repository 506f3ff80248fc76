"""The narrow waist: what sources, transforms, converters and sinks have in common.

Pure and standard library only: nothing here opens a socket or a file, reads a clock, or knows a database.
"""

from __future__ import annotations

import sys
import types

try:
    import cython  # noqa: F401
except ImportError:
    # The sources ask `cython.compiled`; where Cython is not installed this answers.
    _stand_in = types.ModuleType("cython")
    _stand_in.compiled = False  # type: ignore[attr-defined]
    sys.modules["cython"] = _stand_in
