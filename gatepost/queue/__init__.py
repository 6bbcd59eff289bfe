"""The durable store: what is on stable storage before `250`. Only this package syncs, renames or unlinks mail."""
