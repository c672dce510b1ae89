"""Turn what a host should be, and what was observed on it, into an exact plan."""
