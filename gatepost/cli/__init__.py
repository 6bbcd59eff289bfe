"""The gatepost command: one file per subcommand."""
