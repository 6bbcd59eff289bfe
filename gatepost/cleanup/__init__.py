"""The pipeline into the queue (cleanup(8)): headers, envelope rewriting, virtual aliases, Received."""
