"""A small, fast SNMP agent of our own: v1, v2c and v3, for thousands of addresses in one process."""
