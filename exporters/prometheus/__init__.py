"""Metrics for Prometheus, the health of the daemon, and the list of devices as JSON."""

from agent.ports import ObserverPlugin
from exporters.prometheus.endpoints import open_observer

PLUGIN = ObserverPlugin(name="prometheus", open=open_observer)
