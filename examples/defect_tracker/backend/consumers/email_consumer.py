"""Mails the team when a defect's status changes: `orakul consume backend.consumers.email_consumer:consumers`."""

import smtplib
from email.message import EmailMessage

from backend.service_defects.events import DefectStatusChanged
from backend.shared import settings
from orakul.delivery import Consumers, Retries

__all__ = ["consumers"]

consumers = Consumers()


@consumers.consumer(
    "email_notifications",
    on="defect.status_changed",
    retries=Retries(attempts=8, first=1, factor=3, longest=600),  # a mail server that is away for some minutes
    inbox=settings.DATABASE_URL,  # an event that comes twice is one letter
)
def handle_defect_status_changed(event: DefectStatusChanged) -> None:
    """Send a letter about the new status."""
    said = f"Дефект #{event.defect_id} изменил статус на '{event.new_status}'"
    print(f"Отправка email: {said}", flush=True)
    letter = EmailMessage()
    letter["From"], letter["To"] = settings.MAIL_FROM, settings.MAIL_TO
    letter["Subject"] = said
    letter["Message-ID"] = f"<{event.envelope.event_id}@defect-tracker>"
    letter.set_content(f"{said}.\n\nБыло: {event.old_status}\nСтало: {event.new_status}\nКто: {event.changed_by}\n")
    with smtplib.SMTP(settings.SMTP_HOST, settings.SMTP_PORT, timeout=10) as server:
        server.send_message(letter)
