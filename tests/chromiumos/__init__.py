"""Tests of the dev server of a ChromiumOS checkout, without its code."""
