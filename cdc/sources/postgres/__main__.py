"""Prints the messages of a captured pgoutput stream, one line each.

    python -m cdc.sources.postgres [--values] CAPTURE

psql takes the capture; "peek" leaves the slot as it is:

    psql -XAtc "SELECT lsn, xid, data FROM pg_logical_slot_peek_binary_changes('SLOT', NULL, NULL,
        'proto_version', '1', 'publication_names', 'PUBLICATION', 'messages', 'true')" > CAPTURE

Files of pg_recvlogical cannot be read: they have neither LSNs nor lengths. Without --values only the sizes of values
are printed, so that the output can be published.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from cdc.core.errors import ProtocolError

from .capture import Printer, read_capture
from .lsn import Lsn


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if a message could not be read, 2 if the capture could not."""
    paths = [each for each in arguments if each != "--values"]
    if len(paths) != 1 or paths[0].startswith("-"):
        print(__doc__)
        return 2
    printer, status = Printer(values="--values" in arguments), 0
    try:
        for lsn, message in read_capture(Path(paths[0]).read_text(encoding="utf-8").splitlines()):
            try:
                shown = printer.describe(message)
            except ProtocolError as exc:
                shown, status = f"{message[:1]!r} cannot be read: {exc}", 1
            print(Lsn(lsn), shown)
    except (OSError, ValueError) as exc:
        print(f"{paths[0]}: {exc}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as other filters end: `… | head` is no error
    sys.exit(main(sys.argv[1:]))
