"""Turn an inventory file into a checked Lab, or into the list of all its problems."""
