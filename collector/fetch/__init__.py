"""Requests many windows at once, within the rate, the quota and the failure limits of each workspace."""
