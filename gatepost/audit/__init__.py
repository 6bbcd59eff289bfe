"""Questions about a configuration: is it harmless, what does it come to."""
