"""The dashboard for Grafana: `fleet.py` makes `dashboards/fleet.json`; `provisioning/` tells Grafana where it is."""
