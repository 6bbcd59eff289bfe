"""Name service with typed answers: found, no such name, no data, cannot tell now."""
