"""Jinja templates of the deploys."""
