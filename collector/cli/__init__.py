"""The command line: options in, exit codes out. Commands call `collector.commands` and `collector.show`."""
