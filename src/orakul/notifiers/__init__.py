"""Who can be told, one file each; and the four functions of the TDTP worker's extension points."""

from orakul.notifiers.functions import (
    create_jira_incident,
    send_telegram_alert,
    trigger_airflow_dag,
    upload_to_clickhouse,
)

__all__ = ["create_jira_incident", "send_telegram_alert", "trigger_airflow_dag", "upload_to_clickhouse"]
