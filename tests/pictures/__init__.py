"""Pictures for the documentation, made by hand from real runs; no test needs them."""
