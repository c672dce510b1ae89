"""Umpire's stand-in: one project's bundles, payloads and services, over XML-RPC and HTTP."""
