"""Questions about a configuration: what its lists come to, who may relay, what has no effect or cannot work."""
