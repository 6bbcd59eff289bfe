"""Address verification: probes, their results, and the cache that keeps them (verify(8))."""
