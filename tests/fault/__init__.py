"""Links cut, servers stopped, the process killed: nothing is lost, and the order of each key is kept."""
