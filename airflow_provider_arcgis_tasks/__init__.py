"""An Apache Airflow provider for the scheduled tasks of an ArcGIS portal."""

__version__ = "0.1.0"
