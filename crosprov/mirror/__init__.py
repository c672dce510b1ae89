"""Archive mirrors: what trees of ebuilds need, fetched once, proven, and never changed again."""
