"""Records and events as people see them: consoles, `cdc tail`, messages. Nothing here goes to a topic."""
