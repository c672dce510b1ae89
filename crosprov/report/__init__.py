"""Word plans, events and results for people and for machines."""
