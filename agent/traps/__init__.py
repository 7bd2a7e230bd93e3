"""The receiver of SNMP traps: a verified trap of a device of the inventory is a hint to poll it now, and never a fault by itself.

`receiver.open_traps` is the way in. A datagram of a stranger is dropped by its source address alone; of one device so many are looked at
as its bucket allows. Versions 2c and 3 are understood, version 1 is not. Informs are dropped: version 3 would need an engine of our own
that the device discovers first, and a device can send traps as well. A trap that somebody recorded and sends again is taken: it
costs what any other trap costs, a poll within the bucket.
"""
