"""Stored runs under another policy: exact up to the first divergence, an estimate after it."""
