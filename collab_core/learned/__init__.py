"""Learned routers: encoders, weights with their provenance, training on logged runs."""

from __future__ import annotations
