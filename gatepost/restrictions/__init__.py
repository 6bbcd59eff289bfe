"""Access policy: restrictions by their main.cf names, compiled lists, and the one evaluator."""
