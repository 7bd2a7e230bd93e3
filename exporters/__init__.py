"""Where what the agent knows goes: Prometheus, Grafana, ticket desks."""
