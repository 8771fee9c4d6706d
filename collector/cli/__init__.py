"""The command line: options in, exit codes out. What a command does is elsewhere, and imported when it is called."""
