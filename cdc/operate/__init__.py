"""What a person runs now and then, and no connector ever: moving connectors between Kafka Connect and here."""
