"""Lanes: many windows asked for at once, within the throttle, the pool and the patience of each workspace."""
