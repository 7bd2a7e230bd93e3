"""Simulated Poly VideoOS devices: REST interface, session pool, command line over SSH.

Shapes, state words and failures follow recordings of a Studio X30 (3.10 and 3.12) and the field-proven clients of 3.x to 4.6.2.
Where nothing was ever recorded (other models, the E70's row, the log bundle) the docstring beside it says so.
"""

from simulator.poly.device import VideoOs
from simulator.poly.profiles import PROFILES, Firmware, Profile, Refusal, Xsrf
from simulator.poly.state import Exchange, LockoutPolicy, Moment, Tuning, Witness

__all__ = ["PROFILES", "Exchange", "Firmware", "LockoutPolicy", "Moment", "Profile", "Refusal", "Tuning", "VideoOs", "Witness", "Xsrf"]
