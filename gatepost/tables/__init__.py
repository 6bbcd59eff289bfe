"""Lookup tables and match lists. Three answers: found, not found, cannot tell now (LookupTemporaryFailure)."""
