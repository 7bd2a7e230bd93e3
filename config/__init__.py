"""What to watch, with which account, under which contract: settings, their loader, the catalogues. Lowest layer: imports nothing of ours."""
