"""The HTTP side: routes and JSON shapes, no logic. Answers from what the worker remembers."""
