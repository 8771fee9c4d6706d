"""The config file: YAML with line numbers to frozen values, every mistake at once."""
