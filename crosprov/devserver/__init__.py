"""The dev server that crosprov brings: stages builds, serves them, answers update checks.

It is installed on dev hosts without the rest of crosprov, so nothing here imports what lies
outside of this package.
"""
