"""Whole simulated devices on loopback, with faults that can be switched on: for the demo, for rehearsals, for tests."""
