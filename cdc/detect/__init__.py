"""Flags a mass update from runaway automation while it is small. A pure function of ordered changes."""
