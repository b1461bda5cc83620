"""One file for each published benchmark, or kind of them; ``benchmarks/registry.py`` lists them."""
