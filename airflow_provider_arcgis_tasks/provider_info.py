"""What Airflow discovers when it starts. Imports nothing of Airflow, which may be half loaded by then."""

from __future__ import annotations

from typing import Any

from airflow_provider_arcgis_tasks import __version__

_PACKAGE = "airflow_provider_arcgis_tasks"
_INTEGRATION = "ArcGIS portal tasks"


def _secret(label: str, description: str) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["string", "null"], "format": "password"},
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _flag(label: str, description: str, *, default: bool) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": "boolean", "default": default}}


def _seconds(label: str, description: str, default: int) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["number", "null"], "default": default, "exclusiveMinimum": 0},
    }


def get_provider_info() -> dict[str, Any]:
    """Describe the provider to Airflow (entry point `apache_airflow_provider`)."""

    def modules(name: str) -> list[dict[str, Any]]:
        return [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{name}"]}]

    return {
        "package-name": "airflow-provider-arcgis-tasks",
        "name": "ArcGIS portal tasks",
        "description": "Run, schedule and watch the scheduled tasks of an ArcGIS portal.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": (
                    "https://developers.arcgis.com/rest/users-groups-and-items/all-user-scheduled-tasks/"
                ),
                "tags": ["service"],
            }
        ],
        "hooks": modules("hooks"),
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "triggers": modules("triggers"),
        "extra-links": [f"{_PACKAGE}.links.ArcGISPortalLink"],
        "connection-types": [
            {
                "connection-type": "arcgis",
                "hook-class-name": f"{_PACKAGE}.hooks.ArcGISTasksHook",
                "hook-name": "ArcGIS portal",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {"host": "Portal URL", "login": "User name", "password": "Password"},
                    "placeholders": {
                        "host": "https://gis.example.com/portal",
                        "login": "gis_automation",
                    },
                },
                "conn-fields": {
                    "client_id": _text("Client id", "OAuth 2 application, in place of user and password."),
                    "client_secret": _secret("Client secret", "Secret of the OAuth 2 application."),
                    "token": _secret("Token", "A ready token or API key, in place of a sign-in."),
                    "owner": _text("Owner", "Whose portal tasks, if not the signed-in user's."),
                    "verify": _flag("Verify certificate", "Check the portal's certificate.", default=True),
                    "ca_bundle": _text("CA bundle", "File with the authorities to trust."),
                    "client_cert": _text("Client certificate", "File with a certificate for the web server."),
                    "client_key": _text("Client key", "File with its private key, if kept apart."),
                    "proxy": _text("Proxy", "URL of a proxy; by default as the environment says."),
                    "referer": _text("Referer", "What tokens are bound to; by default the portal's URL."),
                    "timeout": _seconds("Timeout", "Seconds for one request.", 30),
                    "unreachable_timeout": _seconds(
                        "Unreachable timeout", "Seconds for which a silent portal is asked again.", 600
                    ),
                    "allow_http": _flag(
                        "Allow plain HTTP", "Only in a network that is trusted.", default=False
                    ),
                },
            }
        ],
    }
