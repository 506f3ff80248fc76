"""Snapshots of tables of any database: what is read next, by how many readers, with which markers. It never sees SQL.
"""
