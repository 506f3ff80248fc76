"""Speed and memory, as ratios within one run; nothing here is asserted and nothing here runs with the tests."""
