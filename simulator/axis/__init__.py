"""Simulated Axis devices: VAPIX and SNMP of several AXIS OS generations and product classes."""
