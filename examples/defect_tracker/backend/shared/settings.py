"""What the environment says: the same few variables for every process of the tracker."""

import os

__all__ = ["DATABASE_URL", "DEFECTS_URL", "MAIL_FROM", "MAIL_TO", "PROJECTS_URL", "SECRET", "SMTP_HOST", "SMTP_PORT"]

DATABASE_URL = os.environ.get("TRACKER_DATABASE_URL", "postgresql://tracker:password@127.0.0.1:5432/tracker")
SECRET = os.environ.get("TRACKER_SECRET", "a secret for development only, not for anything real")
PROJECTS_URL = os.environ.get("TRACKER_PROJECTS_URL", "http://127.0.0.1:8001")
DEFECTS_URL = os.environ.get("TRACKER_DEFECTS_URL", "http://127.0.0.1:8002")
SMTP_HOST = os.environ.get("TRACKER_SMTP_HOST", "127.0.0.1")
SMTP_PORT = int(os.environ.get("TRACKER_SMTP_PORT", "1025"))
MAIL_FROM = os.environ.get("TRACKER_MAIL_FROM", "tracker@example.com")
MAIL_TO = os.environ.get("TRACKER_MAIL_TO", "team@example.com")
