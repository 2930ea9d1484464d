"""Undoing: incident, blast radius, plan, apply, verify, drill, report."""
