"""Dome's stand-in: the web front end's REST interface, its database and its one-shots."""
