"""The binary log's bytes: packets, headers, events, table maps, row images, GTIDs. No I/O."""
