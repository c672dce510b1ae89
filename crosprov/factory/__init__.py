"""Releases of the factory server on the controller: scripts, images and bundles of both."""
