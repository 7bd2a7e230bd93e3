"""So that the unit can start `python -P -m agent.cli`."""

from agent.cli import main

main()
