"""Where outgoings go: Kafka, standard output, files.

Takes bytes and answers for each whether it was delivered; knows neither rows nor databases.
"""
