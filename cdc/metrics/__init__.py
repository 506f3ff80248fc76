"""What is measured: the names of all metrics, what one task counts, and how a scrape shows it.

Counting is plain integers and dicts, written by the task's thread alone, without locks. Nothing else is stored: a
scrape reads them as they are, and asks sources and sinks for the numbers that they keep themselves.
"""
