"""Benchmarks: how fast Latarnik is, as ratios measured in one run. `make bench` prints all tables; README.md says what they mean."""
