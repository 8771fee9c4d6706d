"""Output for people: log lines, progress, plan, summary. Values in, text out; nothing is decided here."""
