"""Length-prefixed msgpack frames between our processes, and the structs they carry."""
