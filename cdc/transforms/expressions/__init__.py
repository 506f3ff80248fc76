"""Expressions over a record, for Filter and ContentBasedRouter: a small language of our own that reads simple Groovy
and JavaScript of existing configurations.

It has no loops, no functions of its own and no access to anything except the record, and every size is limited. A body
that it does not know is an error; nothing is ever given to an interpreter.
"""
