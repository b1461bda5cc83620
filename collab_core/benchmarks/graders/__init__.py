"""One file for each way to grade; ``benchmarks/grading.py`` knows them by name."""
