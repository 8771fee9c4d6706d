"""What several test packages share: builders, a night in this process, the program as a process, crash tests."""
