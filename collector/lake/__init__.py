"""The lake: where its files lie, what they hold, and how they are replaced without ever being half of anything."""
