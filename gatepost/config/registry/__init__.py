"""The declarations, one file an area. To say that a parameter is honoured, add `honoured=True` to its line."""
