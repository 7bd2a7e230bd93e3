"""The domain of Latarnik: what a device, a fault and a case are, and the daemon that turns one into the next."""

__version__ = "0.1.0"
