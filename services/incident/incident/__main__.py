"""`python -m incident`: settings from the environment, Kafka, one HTTP server."""

from common.contracts.topics import TOPICS
from common.web.entrypoint import serve
from incident.main import create_app
from incident.settings import Settings

if __name__ == "__main__":
    serve("incident", Settings.load(), create_app, topics=TOPICS)
